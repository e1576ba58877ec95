"""The brokers that status and check ask, and how status --all combines their answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.broker_reports import at, client, in_group, report
from support.ports import unused_port

from pubsub_broker.cli import main
from pubsub_broker.commands import check, status
from pubsub_broker.commands.asked_brokers import places_of
from pubsub_broker.monitoring.group_status import Answer, ask_group
from pubsub_common.cli import console_script
from pubsub_common.errors import BrokerUnreachable
from pubsub_common.protocol.messages import Status

Start = Callable[..., Any]
A, B, C = "10.0.0.1:5555", "10.0.0.2:5555", "10.0.0.3:5555"


def places(*words: str) -> list[tuple[str, int]]:
    options = console_script.parse(status.USAGE, ["status", *words], "pubsub", "0")
    return places_of(options)


def test_several_brokers_may_be_named_each_with_a_port_or_without() -> None:
    assert places() == [("127.0.0.1", 5555)]
    assert places("-b", "a,b:7,c,a") == [("a", 5555), ("b", 7), ("c", 5555)]
    assert places("-b", "a,b", "--broker-port", "9") == [("a", 9), ("b", 9)]
    for wildcard in ("0.0.0.0", "::"):
        assert places("-b", wildcard, "--broker-port", "9") == [("127.0.0.1", 9)]
    with pytest.raises(SystemExit):
        places("-b", "a,b:x")


@pytest.mark.parametrize("program", [check, status])
def test_the_first_that_answers_counts(
    program: Any,
    broker_process: Start,
    capsys: pytest.CaptureFixture[str],
    untouched_logging: None,
) -> None:
    broker = broker_process("-c")
    with unused_port() as port:
        named = f"127.0.0.1:{port},127.0.0.1:{broker.port}"
        command = "check" if program is check else "status"
        assert main([command, "-b", named, "--timeout", "1"]) == 0
    said = capsys.readouterr()
    assert "centralized broker" in said.out
    assert said.err == ""


def test_if_none_answers_all_are_named(
    capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    with unused_port() as one, unused_port() as two:
        named = f"127.0.0.1:{one},127.0.0.1:{two}"
        assert main(["check", "-b", named, "--timeout", "0.1"]) == 1
    said = capsys.readouterr().err
    assert f":{one} within" in said
    assert f":{two} within" in said
    assert said.count("\n") == 1
    assert said.count("?") <= 1
    assert "?;" not in said


@pytest.mark.parametrize("command", ["check", "status"])
def test_a_refused_connection_ends_it_at_once(
    command: str, capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    with unused_port() as port:
        assert main([command, "-b", f"127.0.0.1:{port}", "--timeout", "9999"]) == 1

    assert capsys.readouterr().err == (
        f"pubsub-broker {command}: no broker answered at tcp://127.0.0.1:{port}: the "
        "connection is refused; is it running, and is this its address and port?\n"
    )


def test_a_broker_that_is_starting_is_waited_for_when_asked(
    broker_process: Start,
    capsys: pytest.CaptureFixture[str],
    untouched_logging: None,
) -> None:
    with unused_port() as port:
        codes: list[int] = []
        ask = ["check", "-b", f"127.0.0.1:{port}", "--wait", "--timeout", "60"]
        asking = threading.Thread(target=lambda: codes.append(main(ask)))
        asking.start()
        asking.join(0.5)
        assert asking.is_alive()
    words = ["--bind", "127.0.0.1", "--port", str(port)]
    broker_process(code=f"from pubsub_broker.cli import main; main({words})")
    asking.join(60)

    assert codes == [0]


def test_a_broker_that_does_not_start_is_given_up_at_the_timeout(
    capsys: pytest.CaptureFixture[str], untouched_logging: None
) -> None:
    with unused_port() as port:
        words = ["check", "-b", f"127.0.0.1:{port}", "--wait", "--timeout", "0.5"]
        assert main(words) == 1

    assert "the connection is refused" in capsys.readouterr().err


def test_all_is_what_each_broker_tells_of_its_own_clients() -> None:
    near = client("subscriber", "10.0.1.2", "news", session=2, news=3)
    far = client("subscriber", "10.0.1.3", "news", session=3, news=4)
    first = in_group(report(at(near, A, own=True), at(far, B), epoch=5), A, B, C)
    second = in_group(report(at(near, A), at(far, B, own=True), epoch=6), A, B, own=1)

    def ask_at(place: str) -> Status:
        if place == B:
            return second
        raise BrokerUnreachable(f"tcp://{place}", 5)

    answer = ask_group(first, ask_at)

    assert [each.lost for each in answer.status.clients] == [{"news": 3}, {"news": 4}]
    assert answer.asked == {B: second, C: None}
    (trouble,) = answer.troubles
    assert C in trouble


def test_a_broker_alone_asks_nobody() -> None:
    alone = report(client("publisher", "p", "A"))
    assert ask_group(alone, lambda place: pytest.fail(place)) == Answer(alone, {}, [])

"""Commands that are run for events."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pubsub_common.errors import PubSubError
from pubsub_common.protocol.events import Event
from pubsub_subscriber.output.command_runner import CommandRunner


def event(payload: bytes, sequence: int = 0) -> Event:
    return Event("10.0.0.1:5556", 0, sequence, 1_000, payload, "a/b c")


def test_a_command_gets_the_payload_and_the_rest_in_its_environment(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    runner = CommandRunner(
        f"(cat; echo; env | grep -E '^PUBSUB_(TOPIC|SEQ|PUB)' | sort) > {out}",
        1,
        pytest.fail,
    )
    payload = bytes(range(256)) * 1000

    runner.write(event(payload, 3))
    runner.close()

    assert out.read_bytes() == payload + (
        b"\nPUBSUB_PUBLISHED_NS=1000\nPUBSUB_PUBLISHER=10.0.0.1:5556\n"
        b"PUBSUB_SEQUENCE=3\nPUBSUB_TOPIC=a/b c\n"
    )


def test_one_at_a_time_keeps_the_order(tmp_path: Path) -> None:
    out = tmp_path / "out"
    runner = CommandRunner(f"cat >> {out}", 1, pytest.fail)

    for number in range(9):
        runner.write(event(b"%d" % number))
    runner.close()

    assert out.read_bytes() == b"012345678"


def test_no_more_run_at_once_than_may(tmp_path: Path) -> None:
    """Each of two commands waits until the other has begun; a third one has to wait."""
    script = (
        f"cd {tmp_path}; read n; touch began$n; until [ -e go$n ]; do sleep 0.01; done"
    )
    runner = CommandRunner(script, 2, pytest.fail)
    runner.write(event(b"0\n"))
    runner.write(event(b"1\n"))
    third = threading.Thread(target=runner.write, args=(event(b"2\n"),))
    third.start()

    while not {"began0", "began1"} <= {path.name for path in tmp_path.iterdir()}:
        third.join(0.01)
    assert third.is_alive()
    assert not (tmp_path / "began2").exists()
    for number in range(3):
        (tmp_path / f"go{number}").touch()
    third.join()
    runner.close()

    assert (tmp_path / "began2").exists()


def test_a_command_that_reads_nothing_is_fine() -> None:
    runner = CommandRunner("true", 1, pytest.fail)
    runner.write(event(b"x" * 1_000_000))
    runner.close()


def test_failures_are_said_once_and_counted() -> None:
    said: list[str] = []
    runner = CommandRunner('test "$PUBSUB_SEQUENCE" = 0 || exit 3', 1, said.append)

    for number in range(3):
        runner.write(event(b"", number))
    with pytest.raises(PubSubError, match="2 of 3 commands failed"):
        runner.close()

    assert said == [
        "the command exited with 3 for event 1 of a/b c "
        "(further failures are counted, not logged)"
    ]


def test_a_command_that_a_signal_ends_has_failed_unless_all_was_stopped() -> None:
    said: list[str] = []
    runner = CommandRunner("kill -9 $$", 1, said.append)
    runner.write(event(b""))
    with pytest.raises(PubSubError, match="1 of 1 command"):
        runner.close()
    assert "was ended by signal 9" in said[0]

    stopped = CommandRunner("kill -2 $$", 1, pytest.fail, lambda: True)
    stopped.write(event(b""))
    stopped.close()

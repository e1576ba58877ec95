"""The lines in the broker's log about clients that join, leave and lose events."""

from __future__ import annotations

import logging

import msgspec
import pytest

from pubsub_broker.control.effects import Departed, EventsLost, Joined, Moved, Rejected
from pubsub_broker.monitoring.event_log import EventLog
from pubsub_broker.registry.interface import Client
from pubsub_common.defaults import LOG_ADDRESS_BYTES, LOG_INTERVAL_S


def client(number: int, origin: str) -> Client:
    return Client(
        session=number,
        role="subscriber",
        address=origin,
        topics=("x" * 200,),
        clock="realtime",
        origin=origin,
    )


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_one_that_comes_and_goes_without_end_leaves_others_their_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog()
    for number in range(10_000):
        hostile = client(number, "10.0.0.66")
        log.write(Joined(hostile, again=False), 0.0)
        log.write(EventsLost(hostile, {f"topic-{n}": 1 for n in range(9)}), 0.0)
        log.write(Departed(hostile, "left"), 0.0)
    log.write(Joined(client(0, "10.0.0.1"), again=False), 0.0)

    assert sum(map(len, caplog.messages)) < 2 * LOG_ADDRESS_BYTES
    assert caplog.messages[-1].startswith("subscriber 10.0.0.1 joined: ")
    written = len(caplog.messages) - 1
    log.tick(LOG_INTERVAL_S)
    assert caplog.messages[-1] == (
        f"{80_000 - written} more lines about clients in 10 s are left out, "
        "all about 10.0.0.66"
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((), ("A",), "added topics: A"),
        (("A",), ("A", "B", "C"), "added topics: B, C"),
        (("A", "B"), ("B",), "removed topics: A"),
        (("A",), ("B",), "added topics: B; removed topics: A"),
        (("A", "B"), ("B", "A"), "rejoined: B, A"),
    ],
)
def test_a_client_with_other_topics_has_one_line(
    caplog: pytest.LogCaptureFixture,
    before: tuple[str, ...],
    after: tuple[str, ...],
    said: str,
) -> None:
    was, now = (
        msgspec.structs.replace(client(1, "10.0.0.1"), topics=topics)
        for topics in (before, after)
    )
    EventLog().write(Joined(now, again=True, before=was), 0.0)

    assert caplog.messages == [f"subscriber 10.0.0.1 {said}"]


def test_the_line_of_a_client_without_topics_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    without = msgspec.structs.replace(client(1, "10.0.0.1"), topics=())
    EventLog().write(Joined(without, again=False), 0.0)

    assert caplog.messages == ["subscriber 10.0.0.1 joined: no topics yet"]


def test_a_hundred_clients_of_one_host_that_come_and_go_have_their_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog()
    for number in range(100):
        log.write(Joined(client(number, "10.0.0.1"), again=False), 0.0)
        log.write(Departed(client(number, "10.0.0.1"), "left"), 0.0)

    assert len(caplog.messages) == 200
    log.tick(LOG_INTERVAL_S)
    assert len(caplog.messages) == 200


def test_topics_stay_on_the_line_in_a_log_of_any_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog()
    topic = "x\u2028broker: forged\u202e\x9b"
    hostile = msgspec.structs.replace(client(1, "10.0.0.66"), topics=(topic,))

    log.write(Joined(hostile, again=False), 0.0)
    log.write(EventsLost(hostile, {topic: 1}), 0.0)
    log.write(Rejected(b"peer", f"no topic {topic}"), 0.0)

    assert len(caplog.messages) == 3
    assert all(message.isprintable() for message in caplog.messages)
    assert all(r"x\u2028broker: forged" in message for message in caplog.messages)


def test_a_client_that_is_at_another_broker_now_has_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    EventLog().write(Moved(client(1, "10.0.0.1"), "10.0.1.2:5555"), 0.0)
    assert caplog.messages == ["subscriber 10.0.0.1 moved to broker 10.0.1.2:5555"]


def test_a_client_behind_nat_has_both_addresses_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    behind = msgspec.structs.replace(client(1, "203.0.113.9"), address="192.168.1.7")
    same_network = msgspec.structs.replace(
        client(2, "2001:db8::/64"), role="publisher", address="[2001:db8::7]:5556"
    )
    for each in (behind, same_network):
        EventLog().write(Departed(each, "left"), 0.0)

    assert caplog.messages == [
        "subscriber 192.168.1.7 from 203.0.113.9 left",
        "publisher [2001:db8::7]:5556 left",
    ]

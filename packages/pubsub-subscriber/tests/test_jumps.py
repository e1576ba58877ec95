"""Numbers that are further beyond the expected one than any publisher gets."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from support.core_steps import new_performer
from support.fake_sub_socket import SUBSCRIBER

from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.defaults import MAX_JUMP
from pubsub_common.protocol import numbers
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import encode_event, encode_ready_reply
from pubsub_common.protocol.messages import Departure, PublisherInfo, Registered
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving.reports import ReceptionReports
from pubsub_subscriber.streams.effects import (
    Deliver,
    Effect,
    Jumped,
    Lost,
    Malformed,
    Request,
)

SESSION = 7
ADDRESS = "10.0.0.1:5556"
INFO = PublisherInfo(session=SESSION, topics=["A", "B"], address=ADDRESS)


class Anywhere:
    """A connection that may bring frames of any publisher."""

    only_session = None

    def __init__(self) -> None:
        self.other_sessions: set[int] = set()

    def repeats(self, session: int) -> bool:
        return False


class Bench:
    """A subscriber that has had event 0 of each topic."""

    def __init__(self, *, recovers: bool = False, from_start: bool = False) -> None:
        self.core = SubscriberCore(
            ["A", "B"],
            recover_timeout_s=5.0 if recovers else None,
            max_held=100,
            from_start=from_start,
        )
        self.core.register(
            Registered(
                id=1,
                version=1,
                session=SUBSCRIBER,
                epoch=1,
                lease_s=6.0,
                model="decentralized",
                publishers=[INFO],
            ),
            0.0,
        )
        self.event(0)
        self.event(0, "B")

    def receive(self, frame: bytes) -> list[Effect]:
        return self.core.receive(frame, Anywhere(), 5, 1.0)

    def event(self, number: int, topic: str = "A") -> list[Effect]:
        return self.receive(encode_event(topic, ADDRESS, SESSION, number, 1, b"x"))

    def has_ended(self) -> bool:
        """Whether events of A are malformed from here on, and those of B are not."""
        before = self.core.malformed_count
        for number in (1, 2, MAX_JUMP, numbers.LARGEST):
            assert [type(each) for each in self.event(number)] == [Malformed]
        assert self.core.malformed_count == before + 4
        expected = self.core.trackers[SESSION, "B"].expected
        [deliver] = self.event(expected, "B")
        return isinstance(deliver, Deliver)


def batch(number: int) -> bytes:
    body = encode_batch_body(ADDRESS, SESSION, number, [1, 2], [b"", b""])
    return batch_prefix("A") + body


FRAMES: dict[str, Callable[[int], bytes]] = {
    "event": lambda number: encode_event("A", ADDRESS, SESSION, number, 1, b""),
    "batch": batch,
    "ready": lambda number: encode_ready_reply(
        "A", SUBSCRIBER, ADDRESS, SESSION, number
    ),
    "position": lambda number: encode_position("A", ADDRESS, SESSION, number),
    "recovery": lambda number: encode_recovery_reply(
        RecoveryRequest("A", SESSION, SUBSCRIBER, 1, 3, 1), ADDRESS, number, [], []
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("recovers", [False, True])
def test_a_jump_ends_the_stream_and_nothing_of_it_is_lost(
    kind: str, recovers: bool
) -> None:
    if kind in ("position", "recovery") and not recovers:
        return  # nobody asked for those
    bench = Bench(recovers=recovers)

    effects = bench.receive(FRAMES[kind](1 + MAX_JUMP + 1))

    assert effects == [Jumped(ADDRESS, "A")]
    assert bench.core.malformed_count == 1
    assert bench.core.lost == {}
    assert bench.core.streams.counts().lost == 0
    assert bench.core.next_deadline() is None
    assert bench.has_ended()


@pytest.mark.parametrize("kind", FRAMES)
def test_the_largest_step_is_no_jump(kind: str) -> None:
    bench = Bench(recovers=kind in ("position", "recovery"))

    bench.receive(FRAMES[kind](1 + MAX_JUMP))

    assert bench.core.malformed_count == 0
    assert (SESSION, "A") in bench.core.trackers


@pytest.mark.parametrize("first", [0, 1, MAX_JUMP + 5, numbers.LARGEST])
@pytest.mark.parametrize("from_start", [False, True])
def test_the_first_number_of_a_stream_may_be_any(first: int, from_start: bool) -> None:
    bench = Bench(recovers=from_start, from_start=from_start)
    other = encode_event("A", ADDRESS, SESSION + 1, first, 1, b"x")

    effects = bench.receive(other)

    assert bench.core.malformed_count == 0
    if not from_start or first in (0, numbers.LARGEST, MAX_JUMP + 5):
        assert [type(each) for each in effects] == [Deliver]
    assert bench.core.streams.counts().lost == 0


def test_a_ready_answer_that_jumps_is_an_answer_all_the_same() -> None:
    bench = Bench()
    assert bench.core.streams.ready.awaited_topics() == {"A", "B"}

    bench.receive(FRAMES["ready"](numbers.LARGEST))
    assert bench.core.streams.ready.awaited_topics() == {"B"}


def test_what_is_held_is_delivered_when_the_stream_ends() -> None:
    """Events 2 and 3 have come, 1 has not: only that one is lost."""
    bench = Bench(recovers=True)
    [asked] = bench.event(2)
    assert isinstance(asked, Request)
    assert parse_recovery_request(asked.raw) is not None
    bench.event(3)

    effects = bench.event(2 * MAX_JUMP)

    [lost] = [each for each in effects if isinstance(each, Lost)]
    assert (lost.gap.first, lost.gap.last) == (1, 1)
    [deliver] = [each for each in effects if isinstance(each, Deliver)]
    assert [event.sequence for event in deliver.events] == [2, 3]
    assert effects[-1] == Jumped(ADDRESS, "A")
    assert not any(isinstance(each, Request) for each in effects)
    assert bench.has_ended()


@pytest.mark.parametrize("recovers", [False, True])
def test_a_departure_that_jumps_ends_the_stream_too(recovers: bool) -> None:
    bench = Bench(recovers=recovers)
    departure = Departure(
        session=SESSION, next_sequences={"A": numbers.LARGEST, "B": 1}
    )

    effects = bench.core.change_publishers(
        PublishersUpdated(joined=[], left=[departure], ports={}), 2.0
    )

    assert effects[0] == Jumped(ADDRESS, "A")
    assert bench.has_ended()
    bench.core.tick(3.0, idle=True)
    assert bench.core.lost == {}


def test_a_departure_may_tell_of_a_stream_that_begins_only_now() -> None:
    departure = Departure(session=SESSION, next_sequences={"A": numbers.LARGEST})
    fresh = SubscriberCore(["A"])
    fresh.register(
        Registered(
            id=1,
            version=1,
            session=SUBSCRIBER,
            epoch=1,
            lease_s=6.0,
            model="decentralized",
            publishers=[INFO],
        ),
        0.0,
    )
    fresh.change_publishers(
        PublishersUpdated(joined=[], left=[departure], ports={}), 1.0
    )
    fresh.receive(encode_event("A", ADDRESS, SESSION, 3, 1, b"x"), Anywhere(), 5, 2.0)
    for now in (3.0, 10.0, 20.0):
        fresh.tick(now, idle=True)

    assert fresh.lost == {}


def test_one_line_names_the_publisher_and_the_topic(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports = ReceptionReports(None)
    with caplog.at_level(logging.WARNING):
        for topic in ("A", "B"):
            reports.add(Jumped(ADDRESS, topic))
        reports.tell()

    [line] = caplog.messages
    assert ADDRESS in line
    assert "'A'" in line


def test_a_stream_that_has_ended_is_no_way_around_the_bound_of_what_is_remembered() -> (
    None
):
    performer = new_performer("A")
    core = performer.core
    for session in range(5000):
        for number in (0, numbers.LARGEST):
            frame = encode_event("A", ADDRESS, session, number, 1, b"x")
            core.receive(frame, Anywhere(), 5, 1.0)

    assert not core.trackers
    assert core.malformed_count == 5000
    assert len(core.streams._trackers._closed) <= 4096
    assert core.streams.counts().received == 5000

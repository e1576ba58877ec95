"""Whole frames of events that have gone, or should have gone, by shared memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import zmq
from support.raw_sockets import events_of

from pubsub_common.net.contexts import terminate_context
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.sending.frame_encoder import Frame
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import BATCH_BYTES, TopicState

LARGE = 20_000


class Doubtful(NamedTuple):
    """A lane after which everybody must get whole frames."""

    sent: list[int]

    def send(
        self, _topic: TopicState, first: int, events: Sequence[Stamped], _flags: int
    ) -> tuple[int, int, Frame | None]:
        self.sent.append(first)
        return len(events), 0, b""


class Full:
    """A lane that reaches some subscribers, while the queues of others are full."""

    def __init__(self, events: EventSocket) -> None:
        self.sent: list[int] = []
        self._events = events

    def send(
        self, topic: TopicState, first: int, events: Sequence[Stamped], flags: int
    ) -> tuple[int, int, Frame | None]:
        del flags
        self.sent.append(first)
        frame = self._events.encode(topic, first, events[:1])
        return 1, len(frame), frame


class Bench:
    """A socket that takes frames while there is ``room``."""

    def __init__(
        self, stack: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.topic = TopicState("A")
        core = PublisherCore({"A": self.topic})
        core.address, core.session = "127.0.0.1:1", 7
        stack.callback(terminate_context, context)
        self.events = EventSocket(
            context,
            {"A": self.topic},
            core,
            lambda: 10**18,
            QueueBounds(100),
            blocking=True,
            stopped=lambda: False,
        )
        stack.callback(self.events.close, 0)
        self.events.lane_from = LARGE
        self.frames: list[bytes] = []
        self.room = 0
        monkeypatch.setattr(self.events, "_send", self._send)

    def _send(self, frame: bytes, flags: int) -> None:
        del flags
        if self.room <= 0:
            raise zmq.Again
        self.room -= 1
        self.frames.append(bytes(frame))

    @property
    def found(self) -> list[tuple[int, bytes]]:
        return [
            (each.sequence, each.payload)
            for frame in self.frames
            for each in events_of(frame)
        ]


@pytest.mark.parametrize("gathered", [False, True])
def test_no_other_event_gets_the_number_of_one_that_some_have(
    monkeypatch: pytest.MonkeyPatch, gathered: bool
) -> None:
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        events, topic = bench.events, bench.topic
        lane = Full(events)
        monkeypatch.setattr(events, "lane", lane)
        publish = events.sender(topic)
        if gathered:
            topic.gathered.append((1, b"1" * LARGE))
            assert events.try_send(topic, ()) is True
        else:
            assert publish(b"1" * LARGE) > 0

        assert publish(b"2" * LARGE) < 0
        assert publish(b"small") < 0
        assert events.try_send(topic, [(2, b"a"), (2, b"b")]) is None
        events.serve([])
        assert (lane.sent, topic.next_sequence) == ([0], 1)
        assert events.last_number(topic) == 0
        bench.room = 2
        assert publish(b"small") > 0
        assert bench.found == [(0, b"1" * LARGE), (1, b"small")]


def test_what_others_still_need_leaves_before_a_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference tells a subscriber that no such frames come any more."""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        events = bench.events
        monkeypatch.setattr(events, "lane", Full(events))
        assert events.sender(bench.topic)(bytes(LARGE)) > 0

        assert not events.tell(b"reference")
        bench.room = 1
        assert not events.tell(b"reference")
        assert len(bench.frames) == 1
        bench.room = 1
        assert events.tell(b"reference")
        assert bench.frames[1:] == [b"reference"]


def test_many_events_reach_everybody_in_several_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of one reference are too many for one message, and there is room for one at a
    time."""
    payloads = [bytes([number]) * (4 * LARGE) for number in range(20)]
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        lane = Doubtful([])
        monkeypatch.setattr(bench.events, "lane", lane)
        bench.topic.gathered += [(1, payload) for payload in payloads]
        assert bench.events.try_send(bench.topic, ()) is True
        assert (lane.sent, bench.topic.next_sequence) == ([0], 20)
        publish = bench.events.sender(bench.topic)
        turns = 0
        while publish(b"small") < 0:
            bench.room = 1
            turns += 1
            bench.events.serve([])

        assert turns > 4
        assert all(len(frame) < BATCH_BYTES + 4096 for frame in bench.frames)
        assert bench.found == [*enumerate(payloads), (20, b"small")]


@pytest.mark.parametrize("by_lane", [False, True])
def test_what_was_gathered_for_the_lane_fits_into_messages(
    monkeypatch: pytest.MonkeyPatch, by_lane: bool
) -> None:
    """Also if the lane has ended meanwhile."""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        lane = Doubtful([])
        monkeypatch.setattr(bench.events, "lane", lane)
        publish = bench.events.sender(bench.topic)
        bench.room = 1000
        for _ in range(50):
            assert publish(bytes(LARGE)) > 0
        waiting = bench.topic.gathered[:]
        assert len(waiting) * LARGE > BATCH_BYTES
        if not by_lane:
            bench.events.lane_from = sys.maxsize
        del bench.frames[:]
        assert bench.events.flush(bench.topic)

        assert len(bench.frames) > 1
        assert all(len(frame) < BATCH_BYTES + 4096 for frame in bench.frames)
        assert [number for number, _ in bench.found] == list(range(50))[-len(waiting) :]


def test_events_of_two_senders_fit_into_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other one sends the gathered events, so a small one is the first of the rest."""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        monkeypatch.setattr(bench.events, "lane", Doubtful([]))
        bench.room = 1000
        publish, other = (
            bench.events.sender(bench.topic),
            bench.events.sender(bench.topic),
        )
        count = 0
        while not bench.topic.gathered:
            assert publish(bytes(LARGE)) > 0
            count += 1
        assert other(b"other") > 0
        assert not bench.topic.gathered
        for payload in (b"small", *[bytes(LARGE)] * 50):
            assert publish(payload) > 0
        assert bench.events.flush(bench.topic)

        assert all(len(frame) < BATCH_BYTES + 4096 for frame in bench.frames)
        assert [number for number, _ in bench.found] == list(range(count + 52))


def test_while_too_many_bytes_wait_no_gathered_event_leaves_by_the_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others than local subscribers would receive whole frames."""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        lane = Doubtful([])
        monkeypatch.setattr(bench.events, "lane", lane)
        bench.room = 1000
        bench.events.bytes_full = True
        bench.topic.gathered.append((1, bytes(LARGE)))

        assert bench.events.try_send(bench.topic, ()) is None
        assert (lane.sent, bench.frames) == ([], [])

        bench.events.bytes_full = False
        assert bench.events.try_send(bench.topic, ()) is True


def test_at_the_end_events_that_only_some_have_count_as_unsent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, monkeypatch)
        monkeypatch.setattr(bench.events, "lane", Doubtful([]))
        bench.topic.gathered += [(1, bytes(LARGE)) for _ in range(20)]
        assert bench.events.try_send(bench.topic, ()) is True
        assert bench.events.flush_all(0.0) == 20

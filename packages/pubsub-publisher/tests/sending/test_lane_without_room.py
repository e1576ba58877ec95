"""When there is no room for the frame that accompanies a reference to shared memory."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
import zmq
from support.raw_sockets import events_of

from pubsub_common.net.contexts import terminate_context
from pubsub_common.queue_bounds import QueueBounds
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.sending.frame_encoder import Frame
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import TopicState

LARGE = 20_000


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


@pytest.mark.parametrize("gathered", [False, True])
def test_no_other_event_gets_the_number_of_one_that_some_have(
    monkeypatch: pytest.MonkeyPatch, gathered: bool
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    topic = TopicState("A")
    core = PublisherCore({"A": topic})
    core.address, core.session = "127.0.0.1:1", 7
    with contextlib.ExitStack() as stack:
        stack.callback(terminate_context, context)
        events = EventSocket(
            context,
            {"A": topic},
            core,
            lambda: 10**18,
            QueueBounds(100),
            blocking=True,
            stopped=lambda: False,
        )
        stack.callback(events.close, 0)
        lane = Full(events)
        monkeypatch.setattr(events, "lane", lane)
        events.lane_from = LARGE
        frames: list[bytes] = []
        room = False

        def send(frame: bytes, flags: int) -> None:
            del flags
            if not room:
                raise zmq.Again
            frames.append(bytes(frame))

        monkeypatch.setattr(events, "_send", send)
        publish = events.sender(topic)
        if gathered:
            topic.gathered.append((1, b"1" * LARGE))
            events.lane_from = LARGE
            assert events.try_send(topic, ()) is True
        else:
            assert publish(b"1" * LARGE) > 0

        assert publish(b"2" * LARGE) < 0
        assert publish(b"small") < 0
        assert events.try_send(topic, [(2, b"a"), (2, b"b")]) is None
        events.serve([])
        assert (lane.sent, topic.next_sequence) == ([0], 1)
        assert events.last_number(topic) == 0
        room = True
        assert publish(b"small") > 0

    found = [(each.sequence, each.payload) for one in frames for each in events_of(one)]
    assert found == [(0, b"1" * LARGE), (1, b"small")]

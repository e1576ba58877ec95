"""Ready replies of publishers, in the form for a subscriber's core."""

from __future__ import annotations

from pubsub_common.protocol.events import encode_ready_reply
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.streams.effects import Lost
from pubsub_subscriber.streams.stream_table import StreamTable
from support.fake_sub_socket import SUBSCRIBER, FakeSubSocket


def receive_ready_reply(
    streams: StreamTable, session: int, topic: str, next_sequence: int
) -> Gap | None:
    """A reply arrives: the publisher publishes from ``next_sequence`` on. Returns the
    gap that this reveals, for example after a reconnection."""
    core = SubscriberCore()
    core.streams = streams
    frame = encode_ready_reply(topic, SUBSCRIBER, "p", session, next_sequence)
    effects = core.receive(frame, FakeSubSocket(0, []), 0, now=0.0)
    assert not core.malformed_count
    gaps = [effect.gap for effect in effects if isinstance(effect, Lost)]
    return gaps[0] if gaps else None

"""Ready replies of publishers, as the receiving thread takes them in."""

from __future__ import annotations

import threading
from typing import cast

from pubsub_common.protocol.events import encode_ready_reply
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.slow_path import SlowPath
from pubsub_subscriber.streams.stream_table import StreamTable
from support.fake_sub_socket import SUBSCRIBER, FakeSubSocket


def receive_ready_reply(
    streams: StreamTable, session: int, topic: str, next_sequence: int
) -> Gap | None:
    """What a publisher publishes from ``next_sequence`` on arrives. Returns the gap that
    this reveals, after a reconnection for instance."""
    gaps: list[Gap] = []
    slow_path = SlowPath({}, streams, threading.Lock(), gaps.append, None, lambda: None)
    frame = encode_ready_reply(topic, SUBSCRIBER, "p", session, next_sequence)
    slow_path.take(frame, 0, cast(SubSocket, FakeSubSocket(0, [])), [])
    assert not slow_path.malformed_count
    return gaps[0] if gaps else None

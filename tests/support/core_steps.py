"""A subscriber's core, and its shell without connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pubsub_common.protocol.messages import Model
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.receiving.performer import Performer
from support.fake_sub_socket import SUBSCRIBER


def no_connections(model: Model) -> Connections:
    """The connections of a performer that must not use any."""
    raise AssertionError(f"the {model} broker registers nobody here")


def new_performer(
    *topics: str, on_gap: Callable[[Gap], None] | None = None, **options: Any
) -> Performer:
    """The shell of a core for these topics, without connections; ``options`` are the
    core's."""
    core = SubscriberCore(topics, **options)
    core.use_session(SUBSCRIBER)
    return Performer(core, SocketSet(), no_connections, on_gap=on_gap)


class RecordedRequests:
    """A connection that records the subscribed private topics."""

    def __init__(self) -> None:
        self.subscribed: list[bytes] = []

    def socket_for(self, _session: int, _topic: str) -> RecordedRequests:
        return self

    def change_subscription(self, raw: bytes, *, begins: bool) -> bool:
        if begins:
            self.subscribed.append(raw)
        else:
            assert raw in self.subscribed
        return False

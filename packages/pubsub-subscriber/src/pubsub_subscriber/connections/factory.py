"""Makes the connections of a subscriber, for its broker's model and its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.net.contexts import new_context
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.net.open_files import check_open_files, raise_limit
from pubsub_common.protocol.messages import Model
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import CONNECTED
from pubsub_subscriber.connections.direct import DirectConnections
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.local_lane import LocalLane
from pubsub_subscriber.connections.secure_direct import (
    MAX_FILES,
    MAX_SOCKETS,
    SecureDirectConnections,
)
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.connections.via_broker import BrokerConnections
from pubsub_subscriber.core import SubscriberCore

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys


# Descriptors of a subscriber with one publisher or the broker, and short-lived ones.
_FILES: Final = 24


class ConnectionFactory:
    """Makes connections and stores their sockets in ``sockets``."""

    def __init__(
        self,
        core: SubscriberCore,
        sockets: SocketSet,
        keys: ClientKeys | None,
        bounds: QueueBounds,
        *,
        positions: bool,
        lane: LocalLane | None = None,
    ) -> None:
        """``positions``: subscribe to the positions of publishers. ``lane``: share memory
        with publishers on this host."""
        self.lane = lane
        self._core = core
        self._sockets = sockets
        self._keys = keys
        self._bounds = bounds
        self._positions = positions
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._broker_host: Callable[[], str] = str
        self.places = NamedEndpoints(CONNECTED)

    def open(
        self, broker_host: Callable[[], str], *, centralized: bool | None
    ) -> zmq.Context[zmq.Socket[bytes]]:
        """Make the context of all sockets. ``broker_host`` returns the broker's host;
        ``centralized`` may be unknown (None)."""
        self._broker_host = broker_host
        # With keys there are separate sockets for each publisher.
        separate = self._keys is not None and centralized is not True
        if separate:
            raise_limit(MAX_FILES)
        check_open_files("a subscriber", _FILES)
        self._context = new_context(MAX_SOCKETS if separate else None)
        return self._context

    def connections(self, model: Model) -> Connections:
        """Connections for a broker of this model."""
        if model == "centralized":
            return BrokerConnections(
                self._sockets,
                self._new_sub_socket,
                self._broker_host,
                self.places,
            )
        if self._keys is None:
            return DirectConnections(
                self._sockets, self._new_sub_socket, self.places, self.lane
            )
        return SecureDirectConnections(
            self._sockets,
            self._new_sub_socket,
            self._keys.pair,
            self._core.streams.departures.__contains__,
            self.places,
            self.lane,
        )

    def _new_sub_socket(self, topics: Iterable[str]) -> SubSocket:
        assert self._context is not None, "it is open"
        sub_socket = SubSocket(
            self._context,
            tuple(topics),
            self._core.session,
            self._bounds,
            positions=self._positions,
        )
        if self._core.model == "centralized" and self._keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(
                sub_socket.socket, self._keys.pair, self._keys.broker
            )
        return sub_socket

"""Authenticates the clients that connect to the data port of a publisher with keys.

It is imported only with keys.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.security.keys import configure_curve_server
from pubsub_common.security.subscription_guard import SubscriptionGuard
from pubsub_common.security.zap_server import ZapServer
from pubsub_publisher.security.grants import Grants
from pubsub_publisher.sending.event_socket import EventSocket

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Vouched
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# How long a handshake waits for the broker's first list.
_FIRST_GRANTS_S: Final = 2.0


class Authenticator:
    """Accepts the clients that the broker has named, and no others."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        event_socket: EventSocket,
        keys: ClientKeys,
    ) -> None:
        """Must be made before ``event_socket`` is bound."""
        self.grants = Grants(keys.broker)
        self._event_socket = event_socket
        self._granted = threading.Event()  # the broker has named the clients to accept
        self._audit = AuditLog(_log)
        ZapServer(context, self._allows)
        configure_curve_server(event_socket.socket, keys.pair)
        event_socket.guard = SubscriptionGuard(
            event_socket.socket,
            self.grants.may_receive,
            self._refused,
            trusts=self.grants.is_broker,
        )

    def update(self, vouched: Iterable[Vouched]) -> None:
        """Accept these clients from now on, and disconnect the others."""
        self._event_socket.disconnect_clients(self.grants.update(vouched))
        self._granted.set()

    def _allows(self, key: str, address: str) -> bool:
        """Called in the thread of handshakes."""
        if self.grants.may_connect(key, address):
            return True
        # A subscriber may learn of this publisher before this publisher learns of it.
        return self._granted.wait(_FIRST_GRANTS_S) and self.grants.may_connect(
            key, address
        )

    def _refused(self, key: str, what: str, address: str) -> None:
        said = f"disconnected the client with key {key}: not authorized to subscribe to {what}"
        self._audit.warn(address, "topic", said)

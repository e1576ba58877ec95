"""At the data port of a publisher with keys: whom it lets in. Shell.

It is loaded only where there are keys.
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
from pubsub_publisher.security.grants import Trust
from pubsub_publisher.sending.event_socket import Outlet

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Vouched
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# How long a handshake is held for the broker's first word.
_FIRST_WORD_S: Final = 2.0


class Gatekeeper:
    """Lets nobody in whom the broker does not vouch for."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], outlet: Outlet, keys: ClientKeys
    ) -> None:
        """To be made before ``outlet`` is bound."""
        self.trust = Trust(keys.broker)
        self._outlet = outlet
        self._told = threading.Event()  # whom to let in, for the first time
        self._audit = AuditLog(_log)
        ZapServer(context, self._allows)
        configure_curve_server(outlet.socket, keys.pair)
        outlet.guard = SubscriptionGuard(
            outlet.socket, self.trust.permits, self._refused
        )

    def let_in(self, vouched: Iterable[Vouched]) -> None:
        """From here on, let in these and no others."""
        self._outlet.hang_up(self.trust.update(vouched))
        self._told.set()

    def _allows(self, key: str, address: str) -> bool:
        """In the thread of handshakes."""
        if self.trust.allows(key, address):
            return True
        # A subscriber may have heard of us sooner than we have heard of it.
        return self._told.wait(_FIRST_WORD_S) and self.trust.allows(key, address)

    def _refused(self, key: str, what: str, address: str) -> None:
        said = f"hung up on the client with key {key}, who may not have {what}"
        self._audit.note(address, "topic", said)

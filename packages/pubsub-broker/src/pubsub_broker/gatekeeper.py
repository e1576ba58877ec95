"""At a secure broker's door: its keys, whom it lets in, what it says of others. Shell."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from pathlib import Path
from typing import Final

import zmq

from pubsub_broker.audit import Audit
from pubsub_broker.keystore import KeyStore
from pubsub_broker.trust import Trust
from pubsub_common.errors import ConfigError
from pubsub_common.security.zap import ZapServer

_log = logging.getLogger(__name__)

# How often the folder is looked at, for clients that were enrolled or revoked.
_LOOK_S: Final = 0.5
# How long a stranger waits at the door while the folder has changed: it may be one that
# was enrolled a moment ago.
_NEWS_S: Final = 3.0


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Gatekeeper:
    """Knows the folder of a secure broker. `allows` and `refused` are for any thread."""

    def __init__(self, directory: str | Path) -> None:
        """Raises:
        ConfigError: the folder does not hold what it must.
        """
        self._store = KeyStore(directory)
        self.pair = self._store.pair()
        self.trust = Trust()
        self._stamp = self._store.stamp()
        self._clients = self._store.clients()
        self._policy = self._store.policy()
        self.trust.update(self._clients.values(), self._policy, _now())
        self._look_at = 0.0
        self._audit = Audit()
        self._lock = threading.Lock()
        # What the folder was like when it was taken in last; for the door.
        self._taken_in = self._stamp
        self._news = threading.Condition()

    def open(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Decide about handshakes of sockets of ``context`` from here on."""
        ZapServer(context, self.allows)

    def look(self, now: float) -> set[str] | None:
        """Take in what has changed, if it is time to; the keys of those that may do
        something else than before, None when nobody's rights are others. ``now`` is
        monotonic."""
        if now < self._look_at:
            return None
        self._look_at = now + _LOOK_S
        stamp = self._store.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                clients, policy = self._store.clients(), self._store.policy()
            except ConfigError as error:
                # Rather as it was than open, or shut, to everybody.
                _log.error("%s; what held before holds on", error)
            else:
                self._clients, self._policy = clients, policy
                _log.info("clients and policy read anew: %d clients", len(clients))
        others = self.trust.update(self._clients.values(), self._policy, _now())
        with self._news:
            self._taken_in = self._stamp
            self._news.notify_all()
        return others

    def allows(self, key: str, address: str) -> bool:
        """Whether the owner of a key may connect from ``address``."""
        if self.trust.allows(key) or (self._after_news() and self.trust.allows(key)):
            return True
        self.note(address, f"turned away {self.trust.describe(key, _now())}")
        return False

    def _after_news(self) -> bool:
        """Whether the folder had changed, and was taken in since."""
        if self._store.stamp() == self._taken_in:
            return False
        with self._news:
            return self._news.wait_for(
                lambda: self._store.stamp() == self._taken_in, _NEWS_S
            )

    def refused(self, key: str, what: str, address: str) -> None:
        """Somebody subscribed to what it may not have, and was hung up on."""
        name = self.trust.describe(key, _now())
        self.note(address, f"hung up on {name}, who may not have {what}")

    def note(self, address: str, what: str) -> None:
        """Write a line about an address, unless there was one just now."""
        with self._lock:
            line = self._audit.note(address, what, time.monotonic())
        if line is not None:
            _log.warning("%s", line)

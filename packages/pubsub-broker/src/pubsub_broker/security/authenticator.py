"""Decides which keys may connect to a secure broker, and logs violations."""

from __future__ import annotations

import datetime
import logging
import threading
from pathlib import Path
from typing import Final

import zmq

from pubsub_broker.security.grants import Grants
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.errors import ConfigError
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.security.keys import ClientKeys
from pubsub_common.security.zap_server import ZapServer

_log = logging.getLogger(__name__)

# How often the folder is checked for clients that were enrolled or revoked.
_POLL_S: Final = 0.5


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# A level of the log, and a text.
_Line = tuple[int, str]


class Authenticator:
    """Knows the folder of a secure broker. `allows`, `refused` and `forged` are for any
    thread."""

    def __init__(self, directory: str | Path, audit: AuditLog) -> None:
        """Raises:
        ConfigError: the folder does not hold what it must.
        """
        self._store = KeyStore(directory)
        self._own_keys = self._store.own_keys()
        self.pair = self._own_keys.pair
        self.grants = Grants(self.pair.public)
        self._stamp = self._store.stamp()
        self._clients = self._store.clients()
        self._policy = self._store.policy()
        self.grants.update(self._clients.values(), self._policy, _now())
        self._poll_at = 0.0
        self._audit = audit
        # The loop's thread and that of the handshakes both take in changes.
        self._lock = threading.Lock()
        self._changed: set[str] | None = None

    def own_keys(self) -> ClientKeys:
        """The keys for status requests from this broker's own process."""
        return self._own_keys

    def open(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Decide about handshakes of sockets of ``context`` from here on."""
        ZapServer(context, self.allows)

    def describe(self) -> str:
        """What holds, for the log."""
        now = _now()
        states = [client.state(now) for client in self._clients.values()]
        policy = "without a policy" if self._policy is None else "with a policy"
        return f"{states.count('ok')} of {len(states)} clients allowed, {policy}"

    def poll_changes(self, now: float) -> set[str] | None:
        """Take in what has changed, if it is time to; the keys of those that may do
        something else than before, None when nobody's rights are others. ``now`` is
        monotonic."""
        if now < self._poll_at:
            return None
        self._poll_at = now + _POLL_S
        with self._lock:
            said = self._reload()
            self._apply()
            changed, self._changed = self._changed, None
        _write(said)
        return changed

    def allows(self, key: str, address: str) -> bool:
        """Whether the owner of a key may connect from ``address``."""
        if self.grants.allows(key):
            return True
        with self._lock:
            said = self._reload()
            if said:  # it may have been enrolled just now
                self._apply()
        _write(said)
        if self.grants.allows(key):
            return True
        owner = self.grants.describe(key, _now())
        self._audit.warn(address, "key", f"rejected {owner}")
        return False

    def subscription_refused(self, key: str, what: str, address: str) -> None:
        """A client subscribed to a topic without permission, and was disconnected."""
        name = self.grants.describe(key, _now())
        self._audit.warn(
            address,
            "topic",
            f"disconnected {name}: not authorized to subscribe to {what}",
        )

    def message_forged(self, key: str, address: str) -> None:
        """A publisher sent what is not in its own name, and was dropped."""
        name = self.grants.describe(key, _now())
        self._audit.warn(
            address,
            "name",
            f"dropped a message that {name} sent as another publisher",
        )

    def _reload(self) -> list[_Line]:
        """Read the folder, if it was changed; what to say of that in the log, once the lock
        is free: a handler of the log may need it. The caller holds the lock."""
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return []
        self._stamp = stamp
        said: list[_Line] = []
        # Each on its own: a mistake in one must not keep the other from holding. What
        # has one stays as it was, rather than open, or shut, to everybody.
        try:
            self._clients = self._store.clients()
        except ConfigError as error:
            said.append(
                (logging.ERROR, f"{error}; keeping the previously enrolled clients")
            )
        try:
            policy = self._store.policy()
        except ConfigError as error:
            said.append((logging.ERROR, f"{error}; keeping the previous policy"))
        else:
            if policy is None and self._policy is not None:
                gone = "the policy file is gone"
                line = f"{gone}; keeping the previous policy until a restart"
                said.append((logging.ERROR, line))
            else:
                self._policy = policy
        said.append((logging.INFO, f"reloaded keys and policy: {self.describe()}"))
        return said

    def _apply(self) -> None:
        """Let hold what was read, at this time. The caller holds the lock."""
        changed = self.grants.update(self._clients.values(), self._policy, _now())
        if changed is not None:
            self._changed = (self._changed or set()) | changed


def _write(lines: list[_Line]) -> None:
    for level, text in lines:
        _log.log(level, "%s", text)

"""Decides which keys may connect to a secure broker, and logs violations."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import zmq

from pubsub_broker.security.folder_watch import FolderWatch
from pubsub_broker.security.grants import Grants
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.errors import ConfigError
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.security.keys import ClientKeys
from pubsub_common.security.zap_server import ZapServer
from pubsub_common.text.counted import counted

_log = logging.getLogger(__name__)

# How often the folder is checked for clients that were enrolled or revoked.
_POLL_S: Final = 0.5
# How long a handshake waits to learn whether its client was enrolled just now: the time
# to read a list of 10,000 clients.
_LOOK_TIMEOUT_S: Final = 2.0


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# A level of the log, and a text.
_Line = tuple[int, str]


class Authenticator:
    """Reads the folder of a secure broker. After the first time its own thread reads
    the files; all methods except `look` are for other threads."""

    def __init__(self, directory: str | Path, audit: AuditLog) -> None:
        """Raises:
        ConfigError: a file in the folder is missing or invalid.
        """
        self._store = KeyStore(directory)
        self._own_keys = self._store.own_keys()
        self.pair = self._own_keys.pair
        self.grants = Grants(self.pair.public)
        self._stamp = self._store.stamp()
        self._clients = self._store.clients()
        self._policy = self._store.policy()
        # Of keys, clients and policy: the brokers of a group should have the same.
        self.digest = self._store.digest(self.pair.public)
        self.grants.update(self._clients.values(), self._policy, _now())
        self._apply_at = 0.0
        self._audit = audit
        self._watch = FolderWatch(self.look, _POLL_S)
        self._on_change: Callable[[], object] = bool
        # The keys that `take_changes` has not returned yet.
        self._changed: set[str] | None = None
        self._lock = threading.Lock()

    def own_keys(self) -> ClientKeys:
        """The keys for status requests from this broker's own process."""
        return self._own_keys

    def open(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        on_change: Callable[[], object] = bool,
    ) -> None:
        """Decide about handshakes of sockets of ``context``, and watch the folder,
        until `close`. ``on_change`` is called when `take_changes` has changes."""
        self._on_change = on_change
        ZapServer(context, self.allows)
        self._watch.start()

    def close(self, timeout_s: float) -> None:
        """Stop watching the folder. Waits at most ``timeout_s`` seconds."""
        self._watch.stop(timeout_s)

    @property
    def thread(self) -> threading.Thread:
        """The thread that watches the folder."""
        return self._watch.thread

    def describe(self) -> str:
        """The rules in force, for the log."""
        now = _now()
        states = [client.state(now) for client in self._clients.values()]
        policy = "without a policy" if self._policy is None else "with a policy"
        return f"{states.count('ok')} of {counted(len(states), 'client')} allowed, {policy}"

    def take_changes(self) -> set[str] | None:
        """The keys of clients with changed permissions; None if nothing has changed."""
        with self._lock:
            changed, self._changed = self._changed, None
        return changed

    def allows(self, key: str, address: str) -> bool:
        """Whether the owner of a key may connect from ``address``."""
        if self.grants.allows(key):
            return True
        # the client may have been enrolled just now
        self._watch.look_now(_LOOK_TIMEOUT_S)
        if self.grants.allows(key):
            return True
        owner = self.grants.describe(key, _now())
        self._audit.warn(address, "key", f"rejected {owner}")
        return False

    def subscription_refused(self, key: str, what: str, address: str) -> None:
        """A client without permission subscribed to a topic, and was disconnected."""
        name = self.grants.describe(key, _now())
        self._audit.warn(
            address,
            "topic",
            f"disconnected {name}: not authorized to subscribe to {what}",
        )

    def message_forged(self, key: str, address: str) -> None:
        """A publisher sent a message that names another sender; it was dropped."""
        name = self.grants.describe(key, _now())
        self._audit.warn(
            address,
            "name",
            f"dropped a message that {name} sent as another publisher",
        )

    def look(self) -> None:
        """Read the folder if it has changed, and apply its content. For one thread."""
        said = self._reload()
        now = time.monotonic()
        if said or now >= self._apply_at:  # keys expire, too
            self._apply_at = now + _POLL_S
            self._apply()
        if said:
            self._on_change()  # the digest has changed
        for level, text in said:
            _log.log(level, "%s", text)

    def _reload(self) -> list[_Line]:
        """Read the folder if it has changed; returns the lines for the log."""
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return []
        self._stamp = stamp
        self.digest = self._store.digest(self.pair.public)
        said: list[_Line] = []
        # Each file is read separately: a mistake in one must not delay the other. A
        # file with a mistake keeps its previous content, rather than allow or forbid
        # everything.
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
        if not said:
            what = "keys" if self._policy is None else "keys and policy"
            said.append((logging.INFO, f"reloaded {what}: {self.describe()}"))
        return said

    def _apply(self) -> None:
        changed = self.grants.update(self._clients.values(), self._policy, _now())
        if changed is not None:
            with self._lock:
                self._changed = (self._changed or set()) | changed
            self._on_change()

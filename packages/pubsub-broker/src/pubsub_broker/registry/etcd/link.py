"""A broker's part in a group, for the thread of the broker: accepts records to write,
and returns changes from etcd. Only its start and its end wait for etcd."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from pubsub_broker.registry.changes import BrokerRecord, Change, LeftRecord
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import EtcdUnreachable
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.etcd.threads import EtcdThreads
from pubsub_broker.registry.interface import Client
from pubsub_common.errors import ConfigError

_log = logging.getLogger(__name__)

# How long the start waits for etcd: the time to ask each member once.
_BEGIN_S: Final = 5.0


class GroupLink:
    """All methods are for the broker's thread; `close` must be called."""

    def __init__(
        self,
        group: Group,
        keys: Keys,
        endpoints: Endpoints,
        members: Callable[[], Members],
        on_change: Callable[[], object] = bool,
    ) -> None:
        """``members`` creates the list of members for one thread; a thread calls
        ``on_change`` when `take_changes` has something."""
        self._group = group
        self._threads = EtcdThreads(group, keys.prefix, endpoints, members, on_change)
        self._changed = self._threads.changed

    def begin(self) -> None:
        """Send the first requests to etcd, and continue in threads. Without an answer
        the failure is logged, and the broker is cut off until etcd answers.

        Raises:
            ConfigError: this broker cannot be in the group, or lacks a permission in
                etcd.
        """
        threads = self._threads
        threads.start()
        with self._changed:
            self._changed.wait_for(self._has_begun, _BEGIN_S)
            failure, error = threads.failure, threads.error
            if isinstance(failure, ConfigError):
                raise failure
            if threads.refused:
                raise ConfigError(str(error))
            threads.begun = True
        if self.cut_off():
            told = error or "it has not answered yet"
            _log.warning("continuing without etcd until it answers: %s", told)

    def threads(self) -> list[threading.Thread]:
        """Those that `close` waits for."""
        return self._threads.all

    def put_client(self, client: Client) -> int:
        """See `Group.put_client`."""
        with self._changed:
            self._changed.notify_all()
            return self._group.put_client(client)

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """See `Group.delete_client`."""
        with self._changed:
            self._changed.notify_all()
            self._group.delete_client(session, left)

    def describe(self, record: BrokerRecord) -> None:
        """Change the broker's own record."""
        with self._changed:
            self._changed.notify_all()
            self._group.own.describe(record)

    def take_changes(self) -> list[Change]:
        """The changes since the last call. Raises the error that ended a thread."""
        threads = self._threads
        if threads.failure is not None:
            raise threads.failure
        if not threads.changes:
            return []
        with self._changed:
            taken, threads.changes = threads.changes, []
        return taken

    def cut_off(self) -> bool:
        """Whether other brokers may consider this one dead. It never waits for a
        thread."""
        return self._group.cut_off(time.monotonic())

    def why(self) -> str:
        """The last failure of etcd since leases were renewed; empty without one."""
        error, renewing = self._threads.error, self._threads.renewing
        if error is None and renewing is not None:
            return f"{renewing} has not answered yet"
        return "" if error is None else str(error)

    def close(self, timeout_s: float) -> None:
        """End the threads, which write the remaining records, and tell other brokers
        that this one is gone; its clients stay for a while. Waits at most
        ``timeout_s``: after that, etcd itself detects that the broker is gone."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._threads.closing = True
            self._changed.notify_all()
        for thread in self._threads.all:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads.all):
            self._threads.close()

    def _has_begun(self) -> bool:
        """Whether the result of the start is known."""
        threads = self._threads
        failed = isinstance(threads.error, EtcdUnreachable) or threads.refused
        known = self._group.mirror.about is not None and not self.cut_off()
        return failed or known or threads.failure is not None

"""Asks etcd what a broker's part in a group has to ask, in two threads.

One reads the watch, the other writes and renews leases. Both may wait for etcd as long as that
takes; the broker's own thread never does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from pubsub_broker.registry.changes import BrokerRecord, Change, LeftRecord
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdError,
    EtcdUnreachable,
    LeaseGone,
)
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.interface import Client
from pubsub_common.errors import ConfigError
from pubsub_common.logs.throttle import LogThrottle

_log = logging.getLogger(__name__)

# How long after a failure etcd is asked again: an election takes 1.6 s.
_PAUSE_S: Final = 0.25
# How long a watch waits in one go; it looks then whether to go on at this member.
_WATCH_S: Final = 0.25
# How long the watch may be behind the broker's own writes.
_BEHIND_S: Final = 2.0


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
        """``members`` gives those at the endpoints, for one thread; ``on_change`` is called
        in a thread when `take_changes` has something."""
        self._group = group
        self._prefix = keys.prefix
        self._endpoints = endpoints
        self._on_change = on_change
        self._changes: list[Change] = []
        self._failure: BaseException | None = None
        self._throttle = LogThrottle()
        # Guards the group, and all above.
        self._changed = threading.Condition()
        self._closing = False
        self._watching = EtcdClient(members())
        self._writing = EtcdClient(members())
        self._threads = [
            threading.Thread(
                target=run, args=[turn], name=f"broker-{name}", daemon=True
            )
            for name, run, turn in (
                ("etcd-watch", self._run, self._watch),
                ("etcd-write", self._run, self._write),
            )
        ]

    def begin(self) -> None:
        """Ask etcd for the first time, and go on in threads. It may be away.

        Raises:
            ConfigError: this broker cannot be in the group.
            EtcdError: etcd does not let this broker do what it must.
        """
        try:
            self._list()
        except (EtcdUnreachable, Compacted) as error:
            _log.warning("waits for etcd: %s", error)
        if mismatch := self._group.mismatch():
            raise ConfigError(mismatch)
        for thread in self._threads:
            thread.start()

    def threads(self) -> list[threading.Thread]:
        """Those that `close` waits for."""
        return self._threads

    def put_client(self, client: Client) -> int:
        """As `Group.put_client`."""
        with self._changed:
            self._changed.notify()
            return self._group.put_client(client)

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """As `Group.delete_client`."""
        with self._changed:
            self._changed.notify()
            self._group.delete_client(session, left)

    def take_changes(self) -> list[Change]:
        """What was told since the last call. Raises what ended a thread."""
        with self._changed:
            if self._failure is not None:
                raise self._failure
            taken, self._changes = self._changes, []
        return taken

    def cut_off(self) -> bool:
        """Whether other brokers may take this one for gone."""
        with self._changed:
            return self._group.cut_off(time.monotonic())

    def brokers(self) -> dict[str, BrokerRecord]:
        """The brokers of the group that are alive, by name."""
        with self._changed:
            return self._group.mirror.brokers()

    def close(self, timeout_s: float) -> None:
        """End the threads, and tell others that the broker is gone; its clients stay for a
        while. Waits ``timeout_s`` for the threads at most."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._closing = True
            self._changed.notify()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return  # they wait for etcd, which will find itself that the broker is gone
        with contextlib.suppress(EtcdError):
            for lease in self._group.to_revoke():
                self._writing.revoke(lease)
        self._watching.close()
        self._writing.close()

    # In the threads

    def _run(self, turn: Callable[[], None]) -> None:
        while not self._closing:
            try:
                turn()
            except EtcdError as error:
                self._complain(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, _PAUSE_S)
            except BaseException as error:
                with self._changed:
                    self._failure = error
                self._on_change()
                return

    def _complain(self, error: EtcdError) -> None:
        with self._changed:
            permit = self._throttle.admit(type(error).__name__, time.monotonic())
        if permit is not None:
            _log.warning("%s", error)

    def _tell(self, changes: list[Change]) -> None:
        """Under the lock."""
        if changes:
            self._changes += changes
            self._on_change()

    def _list(self) -> None:
        listing = self._watching.list(self._prefix)
        with self._changed:
            self._tell([*self._group.listed(listing, time.monotonic())])
            self._changed.notify()

    def _watch(self) -> None:
        """Watch until that is of no use any more."""
        mirror = self._group.mirror
        if mirror.must_list:
            if mirror.revision:
                _log.warning("all clients are listed anew: %s", mirror.must_list)
            self._list()
        behind_since: float | None = None
        watch = self._watching.watch(self._prefix, mirror.next_revision)
        with contextlib.closing(watch):
            # The other thread finds that a member does not answer; this one leaves it, too.
            while not self._closing and watch.endpoint == self._endpoints.current:
                answers = watch.read(_WATCH_S)
                now = time.monotonic()
                with self._changed:
                    for answer in answers:
                        self._tell([*self._group.watched(answer)])
                    if answers:
                        self._changed.notify()
                    behind = self._group.is_behind()
                if mirror.must_list:
                    return
                behind_since = (behind_since or now) if behind else None
                if behind_since is not None and now >= behind_since + _BEHIND_S:
                    raise EtcdUnreachable(f"the watch at {watch.endpoint} stands still")

    def _write(self) -> None:
        """Renew, grant or write what is due; wait if nothing is."""
        group, now = self._group, time.monotonic()
        with self._changed:
            self._tell(group.tick(now))
            renewals, grants = group.to_renew(now), group.to_grant(now)
        if renewals:
            seconds = self._writing.keep_alive(renewals)
            with self._changed:
                group.renewed(seconds, now)
        for kind, ttl_s in grants.items():
            sent_at = time.monotonic()
            granted = self._writing.grant(ttl_s)
            with self._changed:
                group.granted(kind, granted, sent_at)
        with self._changed:
            request = group.to_write(time.monotonic())
            if request is None:
                now = time.monotonic()
                if not self._closing:
                    self._changed.wait(max(0.0, group.next_deadline(now) - now))
                return
        try:
            answer = self._writing.transact(request)
        except LeaseGone:
            with self._changed:
                group.lease_gone()
        except BaseException:
            with self._changed:
                group.unanswered()
            raise
        else:
            with self._changed:
                self._tell([*group.answered(answer)])

"""The two threads that send a broker's requests to etcd.

One reads the watch, the other writes and renews leases. Both may wait for etcd; the
broker's own thread never does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from pubsub_broker.registry.changes import AboutTold, Change
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.errors import (
    EtcdError,
    EtcdRefused,
    EtcdUnreachable,
    LeaseGone,
)
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry_options import Endpoint
from pubsub_common.errors import ConfigError
from pubsub_common.logs.throttle import LogThrottle

_log = logging.getLogger(__name__)

# The delay of a retry after a failure: an election takes 1.6 s.
_PAUSE_S: Final = 0.25
# How long a watch waits before it checks whether to stay at this member.
_WATCH_S: Final = 0.25
# How long the watch may be behind the broker's own writes.
_BEHIND_S: Final = 2.0


class EtcdThreads:
    """``changed`` guards the public attributes."""

    def __init__(
        self,
        group: Group,
        prefix: bytes,
        endpoints: Endpoints,
        members: Callable[[], Members],
        on_change: Callable[[], object],
    ) -> None:
        """``members`` creates the list of members for one thread; a thread calls
        ``on_change`` when there are ``changes``, or a ``failure``."""
        self.group = group
        self.changed = threading.Condition()
        self.changes: list[Change] = []
        self.closing = False
        self.begun = False  # until then the caller handles failures
        # The error that ended a thread; the last failure of etcd since it renewed
        # leases; whether it has rejected something.
        self.failure: BaseException | None = None
        self.error: EtcdError | None = None
        self.refused = False
        # The member at which leases are being renewed.
        self.renewing: Endpoint | None = None
        self._prefix = prefix
        self._endpoints = endpoints
        self._on_change = on_change
        self._throttle = LogThrottle()
        self._watching = EtcdClient(members())
        self._writing = EtcdClient(members())
        self.all = [
            threading.Thread(target=run, name=f"broker-{name}", daemon=True)
            for name, run in (
                ("etcd-watch", self._run_watch),
                ("etcd-write", self._run_write),
            )
        ]

    def start(self) -> None:
        """Start both."""
        for thread in self.all:
            thread.start()

    def close(self) -> None:
        """Close the connections, when both have ended."""
        self._watching.close()
        self._writing.close()

    # In the threads

    def _run_watch(self) -> None:
        while not self.closing:
            self._do(self._watch)

    def _run_write(self) -> None:
        while self._do(self._write) or not self.closing:
            pass
        if self.failure is None:
            with contextlib.suppress(EtcdError):
                for lease in self.group.to_revoke():
                    self._writing.revoke(lease)

    def _do(self, turn: Callable[[], bool]) -> bool:
        """Whether it has done something, and may have more to do."""
        try:
            return turn()
        except EtcdError as error:
            self._complain(error)
            with self.changed:
                self.changed.wait_for(lambda: self.closing, _PAUSE_S)
        except BaseException as error:
            with self.changed:
                self.failure = error
                self.closing = True
                self.changed.notify_all()
            self._on_change()
        return False

    def _complain(self, error: EtcdError) -> None:
        with self.changed:
            self.error, self.renewing = error, None
            self.refused = self.refused or isinstance(error, EtcdRefused)
            self.changed.notify_all()
            if not self.begun:
                return
            permit = self._throttle.admit(type(error).__name__, time.monotonic())
        if isinstance(error, EtcdUnreachable):
            # An election is not worth a log line; the broker logs a longer failure as
            # being cut off.
            _log.debug("%s", error)
        elif permit is not None:
            _log.warning("%s", error)

    def _tell(self, changes: list[Change]) -> None:
        """Under the lock.

        Raises:
            ConfigError: this broker cannot be in the group.
        """
        if any(isinstance(change, AboutTold) for change in changes) and (
            mismatch := self.group.own.mismatch()
        ):
            raise ConfigError(mismatch)
        if changes:
            self.changes += changes
            self._on_change()
        self.changed.notify_all()

    def _list(self) -> None:
        listing = self._watching.list(self._prefix)
        with self.changed:
            self._tell(self.group.listed(listing, time.monotonic()))

    def _watch(self) -> bool:
        """Watch until the watch is useless."""
        mirror = self.group.mirror
        if mirror.must_list:
            if mirror.revision:
                _log.warning(
                    "reading all clients from etcd again: %s", mirror.must_list
                )
            self._list()
        behind_since: float | None = None
        watch = self._watching.watch(self._prefix, mirror.next_revision)
        with contextlib.closing(watch):
            # The other thread detects a member that does not answer; this one leaves
            # it, too.
            while not self.closing and watch.endpoint == self._endpoints.current:
                answers = watch.read(_WATCH_S)
                now = time.monotonic()
                with self.changed:
                    for answer in answers:
                        self._tell(self.group.watched(answer))
                    behind = self.group.is_behind()
                if mirror.must_list:
                    break
                behind_since = (behind_since or now) if behind else None
                if behind_since is not None and now >= behind_since + _BEHIND_S:
                    raise EtcdUnreachable(
                        f"the watch at {watch.endpoint} makes no progress"
                    )
        return False

    def _write(self) -> bool:
        """Renew, grant or write if something is due; otherwise wait."""
        group, now = self.group, time.monotonic()
        with self.changed:
            self._tell(group.tick(now))
            renewals, grants = group.to_renew(now), group.to_grant(now)
        if renewals:
            self.renewing = self._endpoints.current
            seconds = self._writing.keep_alive(renewals)
            with self.changed:
                group.renewed(seconds, now)
                self.error = self.renewing = None
        for kind, ttl_s in grants.items():
            sent_at = time.monotonic()
            granted = self._writing.grant(ttl_s)
            with self.changed:
                group.granted(kind, granted, sent_at)
                self.changed.notify_all()
        with self.changed:
            request = group.to_write(time.monotonic())
            if request is None:
                now = time.monotonic()
                if self.closing:
                    return False
                self.changed.wait(max(0.0, group.next_deadline(now) - now))
                return True
        try:
            answer = self._writing.transact(request)
        except LeaseGone:
            with self.changed:
                group.lease_gone()
        except BaseException:
            with self.changed:
                group.unanswered()
            raise
        else:
            with self.changed:
                self._tell([*group.answered(answer)])
        return True

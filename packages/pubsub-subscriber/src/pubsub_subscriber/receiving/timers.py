"""Timers of the subscriber: finish departed publishers, request missing events.

All of it is for the user's thread, which looks when nothing arrives, or between bursts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableSequence
from typing import Any

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.stream_table import StreamTable


class Timers:
    """Does what `StreamTable` and `Recovery` say is due."""

    def __init__(
        self,
        streams: StreamTable,
        recovery: Recovery | None,
        lock: threading.Lock,
        report: Callable[[Gap], None],
        disconnect_gone: Callable[[list[PublisherInfo]], bool],
        socket_for: Callable[[int, str], SubSocket | None],
    ) -> None:
        """``lock`` guards the streams. ``report`` is told of what is lost. ``disconnect_gone`` ends
        the connections to publishers that are gone, under the lock; True when events may
        have arrived meanwhile. ``socket_for`` gives the socket by which a publisher (its session)
        can be asked about a topic."""
        self._streams = streams
        self._recovery = recovery
        self._lock = lock
        self._report_gap = report
        self._disconnect_gone = disconnect_gone
        self._socket_for = socket_for

    def next_deadline(self) -> float | None:
        """When `run_due` has something to do."""
        leaving = self._streams.next_deadline()
        recovery = self._recovery
        missing = None if recovery is None else recovery.next_deadline()
        if leaving is None or missing is None:
            return leaving if missing is None else missing
        return min(leaving, missing)

    def run_due(self, items: MutableSequence[Any]) -> bool:
        """All that arrived was looked at. Do what is due, and append events that this
        frees to ``items``; True when there are some, or some may have arrived meanwhile,
        of which the descriptors may then not tell."""
        recovery = self._recovery
        waiting = len(items)
        now = time.monotonic()
        gaps: list[Gap] = []
        with self._lock:
            if recovery is None:
                gone, gaps = self._streams.finish_departed(now)
            else:
                for tracker, end in self._streams.unfinished():
                    recovery.on_position(tracker, end, now, items)
                gaps = recovery.poll(now, items, idle=True)
                gone, lost = self._streams.finish_departed(
                    now, lambda key: recovery.abandon(key, items)
                )
                gaps += lost
            arrived = self._disconnect_gone(gone)
        for gap in gaps:
            self._report_gap(gap)
        return self.send_requests() or arrived or len(items) > waiting

    def run_due_while_busy(self, items: MutableSequence[Any]) -> None:
        """Ask again for what is missing, where it is time, while events keep coming."""
        recovery = self._recovery
        assert recovery is not None, "only then it is called"
        now = time.monotonic()
        if (due := recovery.next_deadline()) is None or now < due:
            return
        with self._lock:
            gaps = recovery.poll(now, items, idle=False)
        for gap in gaps:
            self._report_gap(gap)
        self.send_requests()

    def send_requests(self) -> bool:
        """Ask publishers what recovery wants to know; True when events may have arrived
        meanwhile."""
        arrived = False
        recovery = self._recovery
        if recovery is None or not recovery.subscription_changes:
            return False
        changes, recovery.subscription_changes = recovery.subscription_changes, []
        for change in changes:
            sub_socket = self._socket_for(change.publisher, change.topic)
            if sub_socket is not None:  # else there is no connection at present
                arrived |= sub_socket.change_subscription(
                    change.raw, begins=change.begins
                )
        return arrived

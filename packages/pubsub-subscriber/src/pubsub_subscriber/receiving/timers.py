"""What becomes due: the books on publishers that left are closed, and what is missing is
asked for. Shell (it holds the subscriber's lock).

All of it is for the user's thread, which looks when nothing arrives, or between bursts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableSequence
from typing import Any

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.streams.recovery import Recovery
from pubsub_subscriber.streams.stream_table import Streams


class Settlement:
    """Does what `Streams` and `Recovery` say is due."""

    def __init__(
        self,
        streams: Streams,
        recovery: Recovery | None,
        lock: threading.Lock,
        report: Callable[[Gap], None],
        let_go: Callable[[list[PublisherInfo]], bool],
        inlet: Callable[[int, str], Inlet | None],
    ) -> None:
        """``lock`` guards the streams. ``report`` is told of what is lost. ``let_go`` ends
        the connections to publishers that are gone, under the lock; True when events may
        have arrived meanwhile. ``inlet`` is the socket by which a publisher (its session)
        can be asked about a topic."""
        self._streams = streams
        self._recovery = recovery
        self._lock = lock
        self._report = report
        self._let_go = let_go
        self._inlet = inlet

    def next_deadline(self) -> float | None:
        """When `settle` has something to do."""
        leaving = self._streams.next_deadline()
        recovery = self._recovery
        missing = None if recovery is None else recovery.next_deadline()
        if leaving is None or missing is None:
            return leaving if missing is None else missing
        return min(leaving, missing)

    def settle(self, items: MutableSequence[Any]) -> bool:
        """All that arrived was looked at. Do what is due, and append events that this
        frees to ``items``; True when there are some, or some may have arrived meanwhile,
        of which the descriptors may then not tell."""
        recovery = self._recovery
        waiting = len(items)
        now = time.monotonic()
        gaps: list[Gap] = []
        with self._lock:
            if recovery is None:
                gone, gaps = self._streams.settle(now)
            else:
                for tracker, end in self._streams.announced():
                    recovery.reaches(tracker, end, now, items)
                gaps = recovery.poll(now, items, idle=True)
                gone, lost = self._streams.settle(
                    now, lambda key: recovery.abandon(key, items)
                )
                gaps += lost
            arrived = self._let_go(gone)
        for gap in gaps:
            self._report(gap)
        return self.carry_out() or arrived or len(items) > waiting

    def poll(self, items: MutableSequence[Any]) -> None:
        """Ask again for what is missing, where it is time, while events keep coming."""
        recovery = self._recovery
        assert recovery is not None, "only then it is called"
        now = time.monotonic()
        if (due := recovery.next_deadline()) is None or now < due:
            return
        with self._lock:
            gaps = recovery.poll(now, items, idle=False)
        for gap in gaps:
            self._report(gap)
        self.carry_out()

    def carry_out(self) -> bool:
        """Ask publishers what recovery wants to know; True when events may have arrived
        meanwhile."""
        arrived = False
        recovery = self._recovery
        if recovery is None or not recovery.asks:
            return False
        asks, recovery.asks = recovery.asks, []
        for ask in asks:
            inlet = self._inlet(ask.publisher, ask.topic)
            if inlet is not None:  # else there is no way at present
                arrived |= inlet.ask(ask.raw, begins=ask.begins)
        return arrived

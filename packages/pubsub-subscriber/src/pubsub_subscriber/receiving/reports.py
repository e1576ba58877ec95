"""Reports to the user and the log, made while no lock is held."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_subscriber.streams.effects import (
    Jumped,
    Lost,
    Malformed,
    NoHistory,
    OwnerIdle,
    PublisherJoined,
    PublisherLeft,
)

_log = logging.getLogger(__name__)

Report = Lost | Malformed | Jumped | NoHistory | OwnerIdle


class ReceptionReports:
    """Reports about received frames. For any thread."""

    def __init__(self, on_gap: Callable[[Gap], None] | None) -> None:
        self._on_gap = on_gap
        self._waiting: deque[Report] = deque()
        self._once: set[type[Report]] = set()  # reported only once

    def __bool__(self) -> bool:
        """Whether there are reports."""
        return bool(self._waiting)

    def __len__(self) -> int:
        """Number of reports."""
        return len(self._waiting)

    def add(self, report: Report) -> None:
        """Add a report."""
        kind = type(report)
        if kind not in self._once:
            self._waiting.append(report)
            if kind is not Lost:
                self._once.add(kind)

    def tell(self) -> None:
        """Make the reports. Calls the user's ``on_gap``, which may raise."""
        while self._waiting:
            try:
                report = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            self._tell(report)

    def _tell(self, report: Report) -> None:
        match report:
            case Lost(gap):
                _log.info(
                    "lost %s of %s (%d to %d)",
                    *(counted(gap.count, "event"), printable(gap.topic)),
                    *(gap.first, gap.last),
                )
                if self._on_gap is not None:
                    self._on_gap(gap)
            case Malformed(detail):
                _log.warning(
                    "ignoring malformed event frame (further ones are counted, not "
                    "logged): %s",
                    printable(detail),
                )
            case Jumped(publisher, topic):
                _log.warning(
                    "publisher (%s) sent an impossible sequence number for topic %r: its events "
                    "of this topic are ignored and count as malformed (logged once)",
                    *(printable(publisher), printable(topic)),
                )
            case OwnerIdle(publisher, topic):
                _log.warning(
                    "publisher (%s) owns topic %r and sends nothing while others do: skipping "
                    "it until it sends an event (logged once)",
                    *(publisher, topic),
                )
            case NoHistory(publisher, topic):
                _log.warning(
                    "publisher (%s) has no earlier events of topic %r: it keeps no history, or "
                    "a short one (pubsub-publisher --history) (logged once)",
                    *(publisher, topic),
                )


class PublisherReports:
    """Publishers that joined and left. For the control thread."""

    def __init__(
        self, on_publisher: Callable[[PublisherInfo, bool], None] | None
    ) -> None:
        self._on_publisher = on_publisher
        self._waiting: deque[PublisherJoined | PublisherLeft] = deque()

    def add(self, report: PublisherJoined | PublisherLeft) -> None:
        """Add a report."""
        self._waiting.append(report)

    def tell(self) -> None:
        """Make the reports. Calls the user's ``on_publisher``, which may raise."""
        while self._waiting:
            report = self._waiting.popleft()
            if self._on_publisher is not None:
                joined = isinstance(report, PublisherJoined)
                self._on_publisher(report.publisher, joined)

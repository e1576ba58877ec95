"""What the user and the log are told of, once no lock is held."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from pubsub_common.counted import counted
from pubsub_common.printable import printable
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
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
    """What was found while frames were looked at. For any thread."""

    def __init__(self, on_gap: Callable[[Gap], None] | None) -> None:
        self._on_gap = on_gap
        self._waiting: deque[Report] = deque()
        self._once: set[type[Report]] = set()  # these are told of only once

    def __bool__(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._waiting)

    def __len__(self) -> int:
        """How much there is to tell."""
        return len(self._waiting)

    def add(self, report: Report) -> None:
        """Tell of this later."""
        kind = type(report)
        if kind not in self._once:
            self._waiting.append(report)
            if kind is not Lost:
                self._once.add(kind)

    def tell(self) -> None:
        """Tell. Calls the user's ``on_gap``, which may raise."""
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
                    "publisher (%s) jumped in the numbers of topic %r, further than it can have "
                    "published: its events of this topic are ignored, and counted as "
                    "malformed; this is not said again",
                    *(printable(publisher), printable(topic)),
                )
            case OwnerIdle(publisher, topic):
                _log.warning(
                    "publisher (%s) owns topic %r and sends nothing while others do: it is "
                    "given up until it does; this is not said again",
                    *(publisher, topic),
                )
            case NoHistory(publisher, topic):
                _log.warning(
                    "publisher (%s) has nothing from before of topic %r: it keeps no "
                    "history, or too short a one (pubsub-publisher --history); this is "
                    "not said again",
                    *(publisher, topic),
                )


class PublisherReports:
    """Which publishers came and went. For the control thread."""

    def __init__(
        self, on_publisher: Callable[[PublisherInfo, bool], None] | None
    ) -> None:
        self._on_publisher = on_publisher
        self._waiting: deque[PublisherJoined | PublisherLeft] = deque()

    def add(self, report: PublisherJoined | PublisherLeft) -> None:
        """Tell of this later."""
        self._waiting.append(report)

    def tell(self) -> None:
        """Tell. Calls the user's ``on_publisher``, which may raise."""
        while self._waiting:
            report = self._waiting.popleft()
            if self._on_publisher is not None:
                joined = isinstance(report, PublisherJoined)
                self._on_publisher(report.publisher, joined)

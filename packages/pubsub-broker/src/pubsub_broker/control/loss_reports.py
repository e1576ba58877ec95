"""Finds new losses of subscribers, and decides when to log them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Container, Mapping
from itertools import islice
from typing import Final

from pubsub_broker.control.effects import EventsLost
from pubsub_broker.registry.interface import Client
from pubsub_common.defaults import MAX_CLIENTS, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ConfigError
from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.protocol.matching import matching_topics
from pubsub_common.protocol.topics import validate_topic

# A subscriber may reconnect after its lease has expired, and continue its counts. This
# many subscribers are remembered, with this many topics in total.
_MAX_REMEMBERED: Final = 1000
_MAX_REMEMBERED_TOPICS: Final = 20_000


@dataclasses.dataclass(slots=True)
class _Report:
    """The totals that a client reported, and those at the last log entry."""

    totals: dict[str, int] = dataclasses.field(default_factory=dict)
    reported: Mapping[str, int] = dataclasses.field(default_factory=dict)


class LossReports:
    """Converts the running totals in heartbeats to the losses since the last log entry:
    at most one entry per `LOG_INTERVAL_S` and client."""

    def __init__(self) -> None:
        self._reports: dict[int, _Report] = {}
        self._remembered: OrderedDict[int, _Report] = OrderedDict()
        self._remembered_topics = 0
        self._throttle = LogThrottle(max_keys=MAX_CLIENTS)

    def update(
        self, client: Client, totals: dict[str, int], now: float
    ) -> list[EventsLost]:
        """Store the totals of a heartbeat of ``client``."""
        report = self._reports.get(client.session)
        if report is None:
            if not totals:
                return []  # most clients: no memory for them
            report = self._recall(client.session) or _Report()
            self._reports[client.session] = report
        report.totals = totals
        if not _unreported(report) or not self._throttle.allows(client.session, now):
            return []
        return _take(client, report)

    def close(self, client: Client) -> list[EventsLost]:
        """The client is no longer registered; returns the losses not reported yet."""
        report = self._reports.pop(client.session, None)
        if report is None:
            return []
        new = _take(client, report)
        self._remembered[client.session] = report
        self._remembered_topics += len(report.totals)
        while (
            len(self._remembered) > _MAX_REMEMBERED
            or self._remembered_topics > _MAX_REMEMBERED_TOPICS
        ):
            self._recall(next(iter(self._remembered)))
        return new

    def _recall(self, session: int) -> _Report | None:
        """Remove and return the remembered totals of a client."""
        report = self._remembered.pop(session, None)
        if report is not None:
            self._remembered_topics -= len(report.totals)
        return report


def _unreported(report: _Report) -> dict[str, int]:
    return {
        topic: count - report.reported.get(topic, 0)
        for topic, count in report.totals.items()
        if count > report.reported.get(topic, 0)
    }


def _take(client: Client, report: _Report) -> list[EventsLost]:
    new = _unreported(report)
    report.reported = report.totals
    return [EventsLost(client, new)] if new else []


def own_losses(
    client: Client, lost: Mapping[str, int], known: Container[str]
) -> dict[str, int]:
    """The losses of the client's own topics, matched by name or wildcard, or ``known``
    before. Losses of other topics, and those beyond the limit, are ignored, as a client
    could report any number."""
    some = list(islice(lost, MAX_TOPICS_PER_CLIENT))
    new = [topic for topic in some if topic not in known]
    own = {topic for topic in matching_topics(new, client.topics) if _is_topic(topic)}
    return {topic: lost[topic] for topic in some if topic in known or topic in own}


def _is_topic(name: str) -> bool:
    """A wildcard matches any name, and this name goes into the log."""
    try:
        validate_topic(name)
    except ConfigError:
        return False
    return True


def largest(lost: dict[str, int], most: int) -> dict[str, int]:
    """The largest losses, for this many topics."""
    if len(lost) <= most:
        return lost
    topics = sorted(lost, key=lambda topic: -lost[topic])[:most]
    return {topic: lost[topic] for topic in topics}

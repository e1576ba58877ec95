"""Which losses of subscribers are new, and when to log them."""

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

# A subscriber whose lease ended may come back and count on. So many are remembered, with so
# many topics in all.
_MAX_REMEMBERED: Final = 1000
_MAX_REMEMBERED_TOPICS: Final = 20_000


@dataclasses.dataclass(slots=True)
class _Report:
    """The totals that a client told, and those at the last report."""

    totals: dict[str, int] = dataclasses.field(default_factory=dict)
    reported: Mapping[str, int] = dataclasses.field(default_factory=dict)


class LossReports:
    """Turns the running totals in heartbeats into the losses since the last report, at
    most one report per `LOG_INTERVAL_S` and client."""

    def __init__(self) -> None:
        self._reports: dict[int, _Report] = {}
        self._remembered: OrderedDict[int, _Report] = OrderedDict()
        self._remembered_topics = 0
        self._throttle = LogThrottle(max_keys=MAX_CLIENTS)

    def update(
        self, client: Client, totals: dict[str, int], now: float
    ) -> list[EventsLost]:
        """A heartbeat of ``client`` told these totals."""
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
        """The client is no longer registered; returns what was not reported yet."""
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
        """What is remembered of a client, and is not any more."""
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
    """The losses of topics that are the client's own, by name or by a wildcard, as those
    that are ``known`` are. Others, and too many, are ignored, since they would have no
    bound."""
    some = list(islice(lost, MAX_TOPICS_PER_CLIENT))
    new = [topic for topic in some if topic not in known]
    own = {topic for topic in matching_topics(new, client.topics) if _is_topic(topic)}
    return {topic: lost[topic] for topic in some if topic in known or topic in own}


def _is_topic(name: str) -> bool:
    """Wildcards stand for all kinds of names, and this one goes into the log."""
    try:
        validate_topic(name)
    except ConfigError:
        return False
    return True


def largest(lost: dict[str, int], most: int) -> dict[str, int]:
    """The largest losses, of so many topics."""
    if len(lost) <= most:
        return lost
    topics = sorted(lost, key=lambda topic: -lost[topic])[:most]
    return {topic: lost[topic] for topic in topics}

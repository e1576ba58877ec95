"""What subscribers say they have lost: what of it is new, and when to say so."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from typing import Final

from pubsub_broker.control.effects import EventsLost
from pubsub_broker.registry.interface import Client
from pubsub_common.defaults import LOG_INTERVAL_S, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.topics import validate_topic
from pubsub_common.protocol.wildcards import matching_topics

# A subscriber whose lease ended may come back and count on. So many are remembered.
_MAX_REMEMBERED: Final = 1000


@dataclasses.dataclass(slots=True)
class _Report:
    said: dict[str, int] = dataclasses.field(default_factory=dict)
    next_at: float | None = None


class LossReports:
    """Turns the running totals in heartbeats into what is newly lost, told at most
    once per `LOG_INTERVAL_S` and client."""

    def __init__(self) -> None:
        self._reports: dict[int, _Report] = {}
        self._remembered: OrderedDict[int, _Report] = OrderedDict()

    def heard(
        self, client: Client, lost: Mapping[str, int], now: float
    ) -> list[EventsLost]:
        """A heartbeat of ``client`` told these totals. Those of topics that are not its
        own, by name or by a wildcard, are ignored, and so are too many: nobody could bound
        them."""
        client.lost = _own(client, lost) if lost else {}
        report = self._reports.get(client.session)
        if report is None:
            if not client.lost:
                return []  # nearly everybody: no memory for them
            report = self._remembered.pop(client.session, None) or _Report()
            self._reports[client.session] = report
        if report.next_at is not None and now < report.next_at:
            return []
        missed = self._say(client, report)
        if missed:
            report.next_at = now + LOG_INTERVAL_S
        return missed

    def gone(self, client: Client) -> list[EventsLost]:
        """The client is out of the registry: what it lost and was not said yet."""
        report = self._reports.pop(client.session, None)
        if report is None:
            return []
        self._remembered[client.session] = report
        if len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._say(client, report)

    def _say(self, client: Client, report: _Report) -> list[EventsLost]:
        new = {
            topic: count - report.said.get(topic, 0)
            for topic, count in client.lost.items()
            if count > report.said.get(topic, 0)
        }
        report.said = dict(client.lost)
        return [EventsLost(client, new)] if new else []


def _own(client: Client, lost: Mapping[str, int]) -> dict[str, int]:
    some = islice(lost, MAX_TOPICS_PER_CLIENT)
    return {
        topic: lost[topic]
        for topic in matching_topics(some, client.topics)
        if _is_topic(topic)
    }


def _is_topic(name: str) -> bool:
    """Wildcards stand for all kinds of names, and this one goes into the log."""
    try:
        validate_topic(name)
    except ConfigError:
        return False
    return True

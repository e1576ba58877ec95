"""The metrics in clients' heartbeats, kept apart from their registrations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

from pubsub_broker.control.effects import EventsLost
from pubsub_broker.control.loss_reports import LossReports, largest, own_losses
from pubsub_broker.control.publish_rates import PublishRates
from pubsub_broker.registry.interface import Client
from pubsub_common.defaults import MAX_LOST_TOPICS
from pubsub_common.protocol.messages import (
    ClientDescription,
    ClientStatus,
    ClockOffset,
    ClockRange,
    Heartbeat,
    Latency,
)

_DESCRIPTION: Final = ClientDescription.__struct_fields__
# Topics with losses that are kept per client, however many all clients have.
_FEW_LOST: Final = 16
_described: Final = attrgetter(*_DESCRIPTION)


@dataclasses.dataclass(slots=True)
class ClientMetrics:
    """The metrics that one client has reported. ``last_seen_at`` is the time of its
    last registration or heartbeat, ``clock_offset`` the known offset of its clock. A
    subscriber reports ``lost`` and ``latency``, a publisher ``publish_rates``."""

    last_seen_at: float
    clock_offset: ClockOffset | None = None
    lost: dict[str, int] = dataclasses.field(default_factory=dict)  # never changed
    lost_of: tuple[str, ...] = ()  # the topics that these were checked against
    publish_rates: PublishRates | None = None
    latency: Latency | None = None
    # Of a subscriber: the sessions of the publishers of its topics, and the number of
    # changes of the set of clients when they were looked up.
    publishers: tuple[int, ...] = ()
    changes: int = -1


class MetricsTable:
    """The metrics of all registered clients. ``now`` is seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._by_session: dict[int, ClientMetrics] = {}
        self._losses = LossReports()
        self._lost_topics = 0  # of all clients

    def get(self, session: int) -> ClientMetrics | None:
        """The metrics of this session; None if it is not registered here."""
        return self._by_session.get(session)

    def open(
        self, client: Client, earlier: ClientMetrics | None, now: float, *, new: bool
    ) -> None:
        """A client registered. ``earlier`` are its metrics from before; ``new``: its
        session is new."""
        metrics = ClientMetrics(now)
        if earlier is not None:
            metrics.lost, metrics.latency = earlier.lost, earlier.latency
        if client.role == "publisher":
            rates = None if earlier is None else earlier.publish_rates
            if rates is None:
                rates = PublishRates(now if new else None)
            else:
                rates.registered_again(client.topics)
            metrics.publish_rates = rates
        before = self._by_session.get(client.session)
        self._lost_topics += len(metrics.lost) - len(before.lost if before else ())
        self._by_session[client.session] = metrics

    def update(
        self, client: Client, heartbeat: Heartbeat, now: float
    ) -> list[EventsLost]:
        """Store a client's heartbeat; returns the losses in it that are due to be
        reported."""
        metrics = self._by_session[client.session]
        metrics.last_seen_at = now
        metrics.clock_offset = heartbeat.clock
        metrics.latency = heartbeat.latency
        if metrics.publish_rates is not None and heartbeat.published is not None:
            metrics.publish_rates.update(heartbeat.published, client.topics, now)
        if client.role != "subscriber":
            return []
        lost: dict[str, int] = {}
        if heartbeat.lost:
            known = metrics.lost if metrics.lost_of is client.topics else ()
            lost = own_losses(client, heartbeat.lost, known)
            room = MAX_LOST_TOPICS - self._lost_topics + len(metrics.lost)
            lost = largest(lost, max(room, _FEW_LOST))
        self._lost_topics += len(lost) - len(metrics.lost)
        metrics.lost, metrics.lost_of = lost, client.topics
        return self._losses.update(client, lost, now)

    def close(self, client: Client) -> list[EventsLost]:
        """A client is no longer registered; returns the losses not reported yet."""
        metrics = self._by_session.pop(client.session, None)
        if metrics is not None:
            self._lost_topics -= len(metrics.lost)
        return self._losses.close(client)

    def status_of(self, client: Client, now: float, broker: str | None) -> ClientStatus:
        """A client's entry in a status report; ``broker`` is the address of its broker.
        For a client of another broker nothing else is known."""
        description = dict(zip(_DESCRIPTION, _described(client), strict=False))
        description["topics"] = list(client.topics)
        metrics = self._by_session.get(client.session)
        if metrics is None:
            return ClientStatus(**description, broker=broker)
        rates = metrics.publish_rates
        return ClientStatus(
            **description,
            broker=broker,
            idle_s=now - metrics.last_seen_at,
            lost=metrics.lost,
            rates=None if rates is None else rates.rates(),
            latency=metrics.latency,
        )

    def clock_range(self, publishers: Iterable[int]) -> ClockRange | None:
        """The range of the clocks of the publishers with these sessions; None if one is
        unknown, or there is none. Clocks of publishers at other brokers are unknown, as
        they were compared with another broker's clock."""
        low_ns: int | None = None
        high_ns: int | None = None
        for session in publishers:
            metrics = self._by_session.get(session)
            offset = None if metrics is None else metrics.clock_offset
            if offset is None:
                return None
            low = offset.offset_ns - offset.bound_ns
            high = offset.offset_ns + offset.bound_ns
            low_ns = low if low_ns is None else min(low_ns, low)
            high_ns = high if high_ns is None else max(high_ns, high)
        if low_ns is None or high_ns is None:
            return None
        return ClockRange(low_ns=low_ns, high_ns=high_ns)

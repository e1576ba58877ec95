"""Input to the core from the group's engine, and from the shell that talks to it."""

from __future__ import annotations

from pubsub_broker.control.core_parts import CoreParts
from pubsub_broker.control.effects import Effect
from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
)


class GroupSeam(CoreParts):
    """``now`` is seconds of one monotonic clock. Not used without a group."""

    @property
    def cut_off(self) -> bool:
        """Whether other brokers of the group may consider this one dead."""
        return self._agreement.cut_off

    def describe(self, record: BrokerRecord) -> None:
        """The record of this broker for its group."""
        self._brokers.came(self._clients.broker, record)
        self._place_topics(self._started_at)

    def applied(self, change: Change, now: float) -> list[Effect]:
        """Apply a change from the engine, proposed by this broker or another."""
        match change:
            case BrokerCame(broker=broker, record=record):
                changed = self._brokers.came(broker, record)
            case BrokerWent(broker=broker):
                changed = self._brokers.went(broker, self._clients.counts())
            case _:
                return self._agreement.applied(change, now)
        self._place_topics(now)
        if changed:
            self._notifications.brokers_changed(now)
        return []

    def _place_topics(self, now: float) -> None:
        """The brokers of the group may have changed."""
        if self._places is not None:
            home, others = self._brokers.own_address(), self._brokers.forwarding()
            self._places.set_brokers(home, others, now)
            if self._served is not None:
                forwarding = [each for each, ports in others.items() if ports]
                self._served.set_brokers(home, forwarding, now)

    def set_cut_off(self, cut_off: bool, now: float) -> list[Effect]:
        """Set whether other brokers may consider this one dead. If so, decisions apply
        immediately from now on, otherwise when `applied` confirms them."""
        return self._agreement.set_cut_off(cut_off, now)

"""What the core of a broker in a group is told besides requests: by the group's engine, and by
the shell that asks it."""

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
    """``now`` is seconds of one monotonic clock. None of it is called without a group."""

    @property
    def cut_off(self) -> bool:
        """Whether other brokers of the group may take this one for gone."""
        return self._agreement.cut_off

    def describe(self, record: BrokerRecord) -> None:
        """What this broker says of itself in its group."""
        self._brokers.came(self._clients.broker, record)
        self._place_topics(self._started_at)

    def applied(self, change: Change, now: float) -> list[Effect]:
        """The engine told of a change: of what this broker has proposed, or another one."""
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
        """The brokers of the group may be others."""
        if self._places is not None:
            home, others = self._brokers.own_address(), self._brokers.forwarding()
            self._places.set_brokers(home, others, now)
            if self._served is not None:
                forwarding = [each for each, ports in others.items() if ports]
                self._served.set_brokers(home, forwarding, now)

    def set_cut_off(self, cut_off: bool, now: float) -> list[Effect]:
        """Say whether other brokers may take this one for gone: what is decided is done at
        once from now on, or by `applied`."""
        return self._agreement.set_cut_off(cut_off, now)

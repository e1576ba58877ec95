"""The brokers of a group, as reported by the engine."""

from __future__ import annotations

from collections.abc import Mapping

from pubsub_broker.registry.changes import BrokerRecord
from pubsub_common.defaults import MAX_BROKERS
from pubsub_common.protocol.messages import BrokerStatus


class Brokers:
    """Always contains this broker, whatever the engine reports. Without a group there
    are no entries."""

    def __init__(self, own: str, group: str | None) -> None:
        """``own`` is the name of this broker."""
        self.group = group
        self._own = own
        self._alive: dict[str, BrokerRecord] = {}
        # Brokers that are gone but had clients.
        self._gone: dict[str, BrokerRecord] = {}
        # Where clients find the live brokers, and how publishers identify them.
        self.addresses: list[str] = []
        self.forwarders: list[str] = []

    def came(self, broker: str, record: BrokerRecord) -> bool:
        """A broker has appeared or changed; returns whether clients need to know."""
        self._gone.pop(broker, None)
        self._alive[broker] = record
        return self._changed()

    def went(self, broker: str, clients: Mapping[str, int]) -> bool:
        """A broker is gone; returns whether clients need to know. ``clients`` is the
        number of clients per broker: a broker without clients is forgotten."""
        if broker != self._own and broker in self._alive:
            self._gone[broker] = self._alive.pop(broker)
        self._gone = {
            name: record for name, record in self._gone.items() if clients.get(name)
        }
        return self._changed()

    def address_of(self, broker: str) -> str | None:
        """The address of a broker; its name if the address is unknown; None without a
        group."""
        if self.group is None:
            return None
        record = self._alive.get(broker) or self._gone.get(broker)
        return broker if record is None else record.address

    def names(self) -> list[str]:
        """The names of the brokers that are alive, sorted."""
        return sorted(self._alive)

    def own_address(self) -> str:
        """The address of this broker for clients."""
        own = self._alive.get(self._own)
        return "" if own is None else own.address

    def forwarding(self) -> dict[str, tuple[int, ...]]:
        """The ports from which the other brokers forward, by address. If two brokers
        have the same address, the lease of the earlier one has not expired yet, so the
        later one counts."""
        return {
            record.address: record.forwarding
            for broker, record in self._alive.items()
            if broker != self._own
        }

    def status(self, clients: Mapping[str, int]) -> list[BrokerStatus]:
        """All brokers, for a report; ``clients`` is the number of clients per broker."""
        if self.group is None:
            return []
        known = {**self._gone, **self._alive}
        found = [
            BrokerStatus(
                address=record.address,
                broker=name,
                version=record.version,
                clients=clients.get(name, 0),
                alive=name in self._alive,
            )
            for name, record in known.items()
            if name in self._alive or clients.get(name)
        ]
        return sorted(found, key=lambda each: (each.address, each.broker))[:MAX_BROKERS]

    def _changed(self) -> bool:
        before = self.addresses
        alive = self._alive.values()
        self.addresses = sorted({record.address for record in alive})[:MAX_BROKERS]
        forwarders = {record.forwarder for record in alive} - {""}
        self.forwarders = sorted(forwarders)[:MAX_BROKERS]
        return self.addresses != before

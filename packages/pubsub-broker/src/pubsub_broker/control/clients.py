"""The registered clients of the whole group, and of this broker."""

from __future__ import annotations

from collections import Counter

from pubsub_broker.control.own_leases import OwnLeases
from pubsub_broker.registry.interface import Client, Registry


class Clients:
    """Keeps the registries and the leases consistent. ``now`` is seconds of one
    monotonic clock.

    ``all`` has the clients of the group, ``own`` those of this broker. Without a group
    both are one registry.
    """

    def __init__(
        self, every: Registry, own: Registry, leases: OwnLeases, broker: str
    ) -> None:
        """``broker`` is the name of this broker."""
        self.all = every
        self.own = own
        self.leases = leases
        self.broker = broker
        # Clients of other brokers: session to broker.
        self._elsewhere: dict[int, str] = {}
        self._counts: Counter[str] = Counter()

    def put(self, client: Client, broker: str, now: float) -> None:
        """A client is registered at this broker, or at another one."""
        session = client.session
        if self.all.get(session) != client:
            self.all.put(client)
        if self._elsewhere.get(session, self.broker) != broker:
            self._leave_other(session)
        if broker == self.broker:
            if self.own is not self.all and self.own.get(session) != client:
                self.own.put(client)
            self.leases.begin(session, now)
        else:
            self._let_go(session)
            if session not in self._elsewhere:
                self._elsewhere[session] = broker
                self._counts[broker] += 1

    def remove(self, session: int) -> Client | None:
        """Remove a client and return it; None if it is unknown."""
        self._let_go(session)
        self._leave_other(session)
        return self.all.remove(session)

    def counts(self) -> dict[str, int]:
        """The number of clients of each broker that has any."""
        own = self.own.count()
        return {**self._counts, self.broker: own} if own else {**self._counts}

    def broker_of(self, session: int) -> str:
        """The broker at which a registered client is."""
        return self._elsewhere.get(session, self.broker)

    def is_own(self, session: int) -> bool:
        """Whether a client is registered here."""
        return session not in self._elsewhere and self.all.get(session) is not None

    def own_client(self, session: int) -> Client | None:
        """The client with this session, if it is registered here."""
        return None if session in self._elsewhere else self.all.get(session)

    def rival_of(self, client: Client) -> Client | None:
        """Another publisher at the address of this one."""
        if client.role != "publisher":
            return None
        there = self.all.publisher_at(client.address)
        return None if there is None or there.session == client.session else there

    def _leave_other(self, session: int) -> None:
        broker = self._elsewhere.pop(session, None)
        if broker is not None:
            self._counts[broker] -= 1
            if not self._counts[broker]:
                del self._counts[broker]

    def _let_go(self, session: int) -> None:
        if self.own is not self.all:
            self.own.remove(session)
        self.leases.end(session)

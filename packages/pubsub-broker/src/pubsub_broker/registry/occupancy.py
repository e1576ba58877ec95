"""Counts the clients and their memory, in total and per IP address."""

from __future__ import annotations

from collections import Counter

from pubsub_broker.registry.interface import Client, topic_memory


class Occupancy:
    """Counts of clients; an address without clients takes no memory."""

    def __init__(self) -> None:
        self.count = 0
        # The number of clients of each address, and the memory of their topics.
        self._by_origin: dict[str | None, tuple[int, int]] = {}
        self._publishers: Counter[str | None] = Counter()
        self._topic_memory = 0

    def add(self, client: Client, number: int) -> None:
        """A client has joined (``number`` is 1) or left (-1)."""
        taken = number * topic_memory(client.topics)
        self.count += number
        self._topic_memory += taken
        if client.role == "publisher":
            self._publishers[client.origin] += number
        clients, before = self._by_origin.get(client.origin, (0, 0))
        if clients + number:
            self._by_origin[client.origin] = clients + number, before + taken
        else:
            del self._by_origin[client.origin]
            self._publishers.pop(client.origin, None)

    def clients(self, origin: str) -> int:
        """The number of clients from this address."""
        return self._by_origin.get(origin, (0, 0))[0]

    def publishers(self, origin: str) -> int:
        """The number of publishers from this address."""
        return self._publishers[origin]

    def topic_memory(self, origin: str | None = None) -> int:
        """The memory for the topics of all clients, or of those from this address."""
        if origin is None:
            return self._topic_memory
        return self._by_origin.get(origin, (0, 0))[1]

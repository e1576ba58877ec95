"""The most subscriptions that registered subscribers may make at a port for events."""

from __future__ import annotations

from pubsub_broker.registry.interface import Client
from pubsub_common.limits.port_limits import NOTHING, Subscriptions, needed_for
from pubsub_common.protocol.messages import Role
from pubsub_common.protocol.wildcards import is_filter


class Needs:
    """The topics of all clients: their number and the length of their names."""

    def __init__(self) -> None:
        self._by_role: dict[Role, Subscriptions] = {
            "publisher": NOTHING,
            "subscriber": NOTHING,
        }
        self._with_filters = 0

    def add(self, client: Client, number: int) -> None:
        """A client has joined (``number`` is 1) or left (-1)."""
        names = "".join(client.topics)
        amount = Subscriptions(len(client.topics), len(names.encode())).times(number)
        self._by_role[client.role] += amount
        if client.role == "subscriber" and any(map(is_filter, client.topics)):
            self._with_filters += number

    def subscription_count(self) -> int:
        """The topics and wildcards of all subscribers together."""
        return self._by_role["subscriber"].number

    def total(self) -> Subscriptions:
        """The need of all subscribers together. A subscriber with wildcards may get the
        topics of all publishers."""
        published, subscribed = self._by_role["publisher"], self._by_role["subscriber"]
        every = needed_for(published.number, published.size).times(self._with_filters)
        return needed_for(subscribed.number, subscribed.size) + every

"""Handles a heartbeat: renews the lease, stores the metrics, replies."""

from __future__ import annotations

from collections.abc import Callable

from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.effects import Effect, Send
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.registry.interface import Client
from pubsub_broker.security.authorization import Authorization
from pubsub_common.protocol.messages import Alive, Demand, Heartbeat


class Renewal:
    """Leases of registered clients. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        clients: Clients,
        authorization: Authorization,
        notifications: Notifications,
        metrics: MetricsTable,
        changes: Callable[[], int],
        demand: Callable[[Client], Demand | None],
        cut_off: Callable[[], bool],
        *,
        epoch: int,
    ) -> None:
        """``changes``: the number of changes of the set of clients. ``demand``: the
        set's demand on a publisher. ``cut_off``: whether clients should move to another
        broker."""
        self._cut_off = cut_off
        self._demand = demand
        self._clients = clients
        self._authorization = authorization
        self._notifications = notifications
        self._metrics = metrics
        self._changes = changes
        self._epoch = epoch

    def renew(
        self, peer: bytes, request: Heartbeat, now: float, key: str | None
    ) -> list[Effect]:
        """A known client stays registered for another lease."""
        if not self._authorization.owns(request.session, key):
            stranger = Alive(
                id=request.id,
                epoch=self._epoch,
                known=False,
                cut_off=self._cut_off(),
            )
            return [Send(peer, stranger)]
        connection = self._notifications.get(request.session)
        renewed = self._clients.leases.renew(request.session, now)
        known = renewed and connection is not None
        revision = 0
        if connection is not None:
            # A client that reconnects has another peer id.
            self._notifications.update_peer(request.session, peer)
            revision = connection.revision
        client = self._clients.own_client(request.session)
        clocks = None
        effects: list[Effect] = []
        if client is not None and connection is not None:
            effects += self._metrics.update(client, request, now)
            if client.role == "subscriber":
                clocks = self._metrics.clock_range(self._publishers_of(client))
        alive = Alive(
            id=request.id,
            epoch=self._epoch,
            known=known,
            revision=revision,
            publishers_clock=clocks,
            demand=None if client is None else self._demand(client),
            cut_off=self._cut_off(),
        )
        return [Send(peer, alive), *effects]

    def _publishers_of(self, subscriber: Client) -> tuple[int, ...]:
        """The sessions of the publishers of its topics. They are looked up only after
        clients have come or gone, as the search is slow with thousands of topics."""
        metrics, changes = self._metrics.get(subscriber.session), self._changes()
        if metrics is None:
            return ()
        if metrics.changes != changes:
            matching = self._clients.all.matching("publisher", subscriber.topics)
            metrics.publishers = tuple(client.session for client in matching)
            metrics.changes = changes
        return metrics.publishers

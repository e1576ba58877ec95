"""Registers and removes clients and produces the resulting effects."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pubsub_broker.control.attachments import Attachments, attach
from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.effects import (
    Departed,
    Detach,
    Effect,
    EventsLost,
    NotReturned,
)
from pubsub_broker.control.notifications import Notifications
from pubsub_broker.control.topic_places import TopicPlaces
from pubsub_broker.registry.interface import Client, topic_memory
from pubsub_broker.registry.snapshot import Expected, Snapshot
from pubsub_common.defaults import NOTIFY_TOPICS
from pubsub_common.earliest import earliest
from pubsub_common.protocol.messages import ClientStatus

# Publishers that have left, to which subscribers may still listen: the limits for their
# number, and for the memory of their topics.
_MAX_DEPARTED: Final = 4096
_DEPARTED_MEMORY: Final = 16 * 1024 * 1024


def only_topics_differ(before: Client, client: Client) -> bool:
    """Whether two registrations of a session are the same client with other topics."""
    return (before.role, before.address) == (client.role, client.address) and (
        before.topics != client.topics
    )


class Membership:
    """Keeps registry, notifications and expected clients consistent, and returns the
    effects of each change. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        clients: Clients,
        notifications: Notifications,
        metrics: MetricsTable,
        attachments: Attachments | None,
        places: TopicPlaces | None,
        *,
        forwards: bool,
        lease_s: float,
        now: float,
    ) -> None:
        """``forwards``: whether this model forwards events. A broker without other
        forwarding brokers is attached to all publishers, as it also has subscribers
        that are not registered; ``attachments`` and ``places`` are then None."""
        self.changes = 0  # of the set of clients, with those still expected
        self._forwards = forwards
        self._attachments = attachments
        self._places = places
        self._clients = clients
        self._notifications = notifications
        self._lease_s = lease_s
        self._metrics = metrics
        # In secure mode: if one is revoked later, its subscribers must be notified.
        self._departed: OrderedDict[int, Client] = OrderedDict()
        self._departed_memory = 0
        self._expected = Expected(None, now=now, clock_ns=0, lease_s=lease_s)

    def enter(self, client: Client, broker: str, now: float) -> list[Effect]:
        """A client is registered at this ``broker``, and replaces the earlier client of
        its session."""
        effects = self._displace(client, now)
        previous = self._clients.all.get(client.session)
        unchanged = (
            previous is not None
            and previous.role == client.role
            and previous.address == client.address
            and previous.topics == client.topics
        )
        if previous is not None and not unchanged:
            reason = "registered again with changes"
            gone = self.remove(client.session, {}, reason, now)
            if only_topics_differ(previous, client):  # it has not left
                gone = [each for each in gone if not isinstance(each, Departed)]
            effects += gone
        if self._attachments is not None:
            self._attachments.returns(client.session, now)
        self._clients.put(client, broker, now)
        self._expected.returned(client.session)
        self._forget_departed(client.session)
        if not unchanged:
            self.changes += 1
        if client.role == "publisher":
            if not unchanged:
                effects += self._publisher_joined(client, now)
            elif previous is not None and previous.strengths != client.strengths:
                self._notifications.changed(client, now)
        else:
            if self._attachments is not None:
                change = (
                    self._attachments.subscriber_moved
                    if unchanged
                    else self._attachments.subscriber_came
                )
                effects += change(client, now)
            self._count(client, now)
        return effects

    def remove(
        self,
        session: int,
        next_sequences: Mapping[str, int],
        reason: str,
        now: float,
        *,
        revoked: bool = False,
        silent: bool = False,
    ) -> list[Effect]:
        """Remove a client and notify its peers. An unknown client is not an error.
        ``silent``: its lease has expired."""
        own = self._clients.is_own(session)
        client = self._clients.remove(session)
        if client is None:
            return []
        self._subscriber_gone(client, now, silent=silent)
        effects = self._departure(client, next_sequences, now, revoked=revoked)
        if not own:
            return effects
        lost = self.let_go(client)
        return [*lost, Departed(client, reason), *effects]

    def expire(self, sessions: Iterable[int], now: float) -> list[Effect]:
        """The leases of these clients have expired. They leave together, without
        notifications to each other."""
        expired = [self._clients.remove(session) for session in sessions]
        effects: list[Effect] = []
        for client in filter(None, expired):
            self._subscriber_gone(client, now, silent=True)
            departed = self._departure(client, {}, now)
            lost = self.let_go(client)
            effects += [*lost, Departed(client, "lease expired"), *departed]
        return effects

    def let_go(self, client: Client) -> list[EventsLost]:
        """A client has moved to another broker. Returns the losses not reported yet."""
        self._notifications.close(client.session)
        return self._metrics.close(client)

    def not_returning(self, session: int) -> None:
        """A client that is not registered here disconnects: it is not expected any
        more."""
        if self._expected.returned(session):
            self.changes += 1

    def revoke_departed(
        self, no_longer_allowed: Callable[[Client], bool], now: float
    ) -> None:
        """Tell subscribers to disconnect from publishers that left before and are
        ``no_longer_allowed`` now."""
        for session, client in list(self._departed.items()):
            if no_longer_allowed(client):
                self._forget_departed(session)
                self._notifications.left(client, {}, now, revoked=True)

    def expect(self, snapshot: Snapshot, now: float, clock_ns: int) -> None:
        """The clients of an earlier run are expected to return."""
        self._expected = Expected(
            snapshot, now=now, clock_ns=clock_ns, lease_s=self._lease_s
        )

    def expected(self, now: float) -> list[ClientStatus]:
        """The expected clients that have not returned yet."""
        return self._expected.status(now)

    def keep_topics_here(self, client: Client, now: float) -> None:
        """Other brokers do not know the client that is about to enter. They do not
        receive from a new publisher, nor for a topic without earlier subscribers. So
        this broker forwards such topics to its subscribers itself, until
        `release_topics`."""
        if self._places is not None and self._attachments is not None:
            topics = client.topics
            if client.role == "subscriber":
                count = self._clients.all.subscriber_count
                topics = tuple(topic for topic in topics if not count(topic))
            new = self._places.keep_here(topics, now)
            self._attachments.kept_topics_changed(new, now)

    def release_topics(self, now: float) -> None:
        """The other brokers know all clients again."""
        if self._places is not None and self._attachments is not None:
            self._attachments.kept_topics_changed(self._places.release(now), now)

    def expected_sessions(self) -> Iterable[int]:
        """The sessions of these clients."""
        return self._expected.sessions()

    def expected_client(self, session: int, now: float) -> ClientStatus | None:
        """The expected client with this session, or None."""
        return self._expected.status_of(session, now)

    def tick(self, now: float) -> list[Effect]:
        """Handle unwanted publishers, relocated topics, and clients that are no longer
        expected."""
        effects: list[Effect] = []
        due_at = None if self._places is None else self._places.due_at
        if self._places is not None and due_at is not None and now >= due_at:
            for move in self._places.moves(NOTIFY_TOPICS, now):
                self._notifications.relocated(move.session, move.topic, move.port, now)
        if self._attachments is not None:
            effects += self._attachments.tick(now)
        not_returned = self._expected.expire(now)
        if not_returned:
            self.changes += 1
            effects.append(NotReturned(not_returned))
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        attachments, places = self._attachments, self._places
        return earliest(
            self._expected.next_deadline(),
            None if attachments is None else attachments.next_deadline(),
            None if places is None else places.due_at,
        )

    def _publisher_joined(self, publisher: Client, now: float) -> list[Effect]:
        self._notifications.joined(publisher, now)
        if self._attachments is not None:
            return self._attachments.publisher_came(publisher)
        return [attach(publisher)] if self._forwards else []

    def _subscriber_gone(self, client: Client, now: float, *, silent: bool) -> None:
        """``silent``: its lease has expired. If its connection is open, it may only
        have been suspended."""
        if client.role != "subscriber":
            return
        self._count(client, now)
        if self._attachments is None:
            return
        connection = self._notifications.get(client.session)
        if silent and connection is not None:
            self._attachments.subscriber_silent(client, connection.peer, now)
        else:
            self._attachments.subscriber_gone(client, now)

    def _count(self, subscriber: Client, now: float) -> None:
        if self._places is not None:
            self._places.count(subscriber.topics, now)

    def _displace(self, client: Client, now: float) -> list[Effect]:
        """Two publishers cannot use one port, so an earlier one at this address is
        gone, even if its lease has not expired yet."""
        earlier = self._clients.rival_of(client)
        if earlier is None:
            return []
        reason = "replaced by another publisher at its address"
        return self.remove(earlier.session, {}, reason, now)

    def _departure(
        self,
        client: Client,
        next_sequences: Mapping[str, int],
        now: float,
        *,
        revoked: bool = False,
    ) -> list[Effect]:
        """A client is out of the registry: notify its peers."""
        self.changes += 1
        effects: list[Effect] = []
        if client.role == "publisher":
            if self._attachments is not None:
                effects += self._attachments.publisher_gone(client, at_once=revoked)
            elif self._forwards:
                effects.append(Detach(client.address, at_once=revoked))
            self._notifications.left(client, next_sequences, now, revoked=revoked)
            if client.key is not None and not revoked:
                self._remember_departed(client)
        return effects

    def _remember_departed(self, client: Client) -> None:
        self._departed[client.session] = client
        self._departed_memory += topic_memory(client.topics)
        while (
            len(self._departed) > _MAX_DEPARTED
            or self._departed_memory > _DEPARTED_MEMORY
        ):
            self._forget_departed(next(iter(self._departed)))

    def _forget_departed(self, session: int) -> None:
        client = self._departed.pop(session, None)
        if client is not None:
            self._departed_memory -= topic_memory(client.topics)

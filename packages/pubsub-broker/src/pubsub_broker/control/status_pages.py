"""The clients in a status report, in pages of limited size.

A report of thousands of clients with thousands of topics can have gigabytes. So each
page is made on request, in the order of sessions.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from pubsub_broker.control.brokers import Brokers
from pubsub_broker.control.client_metrics import MetricsTable
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.membership import Membership
from pubsub_common.defaults import STATUS_PAGE_BYTES, STATUS_WHOLE_BYTES
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import ClientStatus


class StatusPage(NamedTuple):
    """Registered and expected clients. ``next_session`` is the first session of the
    next page; None on the last page."""

    clients: list[ClientStatus]
    expected: list[ClientStatus]
    next_session: int | None


class StatusPages:
    """Makes pages. ``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        clients: Clients,
        brokers: Brokers,
        membership: Membership,
        metrics: MetricsTable,
    ) -> None:
        self._clients = clients
        self._brokers = brokers
        self._membership = membership
        self._metrics = metrics
        # All sessions, sorted, and the number of changes of the set of clients at that
        # time.
        self._sessions: list[int] = []
        self._changes = -1

    def page(self, from_session: int | None, now: float) -> StatusPage:
        """The clients with this session and larger ones, as many as fill a page, at
        least one. With None: all clients, if they fit into one message."""
        limit = STATUS_WHOLE_BYTES if from_session is None else STATUS_PAGE_BYTES
        sessions = self._in_order()
        found = StatusPage([], [], None)
        size = 0
        for place in range(bisect_left(sessions, from_session or 0), len(sessions)):
            session = sessions[place]
            client = self._clients.all.get(session)
            if client is not None:
                broker = self._brokers.address_of(self._clients.broker_of(session))
                entry = self._metrics.status_of(client, now, broker)
                chosen = found.clients
            else:
                away = self._membership.expected_client(session, now)
                if away is None:
                    continue
                entry, chosen = away, found.expected
            size += len(messages.encode(entry))
            if size > limit and (found.clients or found.expected):
                return found._replace(next_session=session)
            chosen.append(entry)
        return found

    def _in_order(self) -> list[int]:
        changes = self._membership.changes
        if changes != self._changes:
            registered = (client.session for client in self._clients.all.clients())
            expected = self._membership.expected_sessions()
            self._sessions = sorted({*registered, *expected})
            self._changes = changes
        return self._sessions

"""The current permissions of each enrolled key.

One thread updates them; others (the forwarders', that of the handshakes) read them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.policy import Grant, Policy
from pubsub_common.protocol.level_columns import TopicColumns
from pubsub_common.protocol.matching import subscriptions_of
from pubsub_common.protocol.messages import Vouched


class Grants:
    """The grants of all clients that may connect, by public key."""

    def __init__(self, own: str | None = None) -> None:
        """``own`` is the broker's public key: its owner may request the status, and
        nothing else."""
        self._own = {} if own is None else {own: Grant("the broker", (), ())}
        # Replaced as a whole, never changed.
        self._by_key: Mapping[str, Grant] = self._own
        self._clients: Mapping[str, EnrolledKey] = {}

    def update(
        self,
        clients: Iterable[EnrolledKey],
        policy: Policy | None,
        now: datetime.datetime,
    ) -> set[str] | None:
        """Set the enrolled clients and the policy at ``now``. Returns the keys with
        changed permissions; None without changes."""
        before = self._by_key
        self._clients = {client.public: client for client in clients}
        self._by_key = self._own | {
            key: Grant(client.name) if policy is None else policy.grant(client.name)
            for key, client in self._clients.items()
            if client.state(now) == "ok"
        }
        if self._by_key == before:
            return None
        return {key for key, grant in before.items() if self._by_key.get(key) != grant}

    def grant(self, key: str | None) -> Grant | None:
        """The permissions of this key; None: it may not connect."""
        return None if key is None else self._by_key.get(key)

    def allows(self, key: str) -> bool:
        """Whether this key may connect."""
        return key in self._by_key

    def permits(self, key: str, topic: str) -> bool:
        """Whether this key may receive the events of ``topic``."""
        grant = self._by_key.get(key)
        return grant is not None and grant.may_subscribe(topic)

    def describe(self, key: str, now: datetime.datetime) -> str:
        """The name of this key, for people."""
        client = self._clients.get(key)
        if client is None:
            return f"an unknown key ({key})"
        state = client.state(now)
        return f"{client.name}" if state == "ok" else f"{client.name}, {state}"

    def vouched(self, topics: Iterable[str]) -> list[Vouched]:
        """The clients that a publisher of ``topics`` may admit."""
        columns = TopicColumns(tuple(topics))
        found = []
        for key, grant in self._by_key.items():
            if grant.subscribe is None:
                found.append(Vouched(key=key))
            elif subscriptions_of(grant.subscribe).matching(columns):
                found.append(Vouched(key=key, topics=list(grant.subscribe)))
        return found

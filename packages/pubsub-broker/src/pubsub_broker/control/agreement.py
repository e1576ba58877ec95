"""Proposes the broker's decisions to the engine of its group, and applies what it
confirms.

The engine puts the proposals of all brokers in one order, and each broker applies them
in that order. So all brokers have the same state, and a client that gets a reply is
known to all clients that register later. A broker without a group applies its decisions
immediately.

A broker that is cut off from the engine also applies them immediately, but
provisionally: the proposals stay, and are written when the engine is back. Meanwhile no
lease expires, as the client may have moved to another broker without a way to report
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pubsub_broker.control.client_connection import own_ends
from pubsub_broker.control.clients import Clients
from pubsub_broker.control.effects import Effect, Moved, ProposeDelete, ProposePut
from pubsub_broker.control.membership import Membership
from pubsub_broker.control.pending import Pending, PendingTable
from pubsub_broker.control.provisional import Provisional
from pubsub_broker.control.registration import Registration
from pubsub_broker.registry.changes import (
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    Overtaken,
    PutClient,
)
from pubsub_broker.registry.interface import Client

_LEASE_EXPIRED = "lease expired"


@dataclasses.dataclass(frozen=True, slots=True)
class _Leaving:
    """A client of this broker that leaves when the engine confirms it."""

    left: LeftRecord | None
    reason: str


class Agreement:
    """``now`` is seconds of one monotonic clock."""

    def __init__(
        self,
        clients: Clients,
        pending: PendingTable,
        registration: Registration,
        membership: Membership,
        *,
        shared: bool,
        now: float,
    ) -> None:
        """``shared``: the broker is in a group with an engine."""
        self._clients = clients
        self._pending = pending
        self._registration = registration
        self._membership = membership
        self._shared = shared
        # Until the engine answers.
        self.cut_off_since: float | None = now if shared else None
        self._leaving: dict[int, _Leaving] = {}
        self._provisional = Provisional()

    @property
    def cut_off(self) -> bool:
        """Whether other brokers may consider this broker dead."""
        return self.cut_off_since is not None

    # Decisions of this broker

    def register(self, pending: Pending, now: float) -> list[Effect]:
        """Register a client."""
        if not self._shared:
            return self._registration.enter(pending, now)
        client = pending.client
        effects: list[Effect] = [ProposePut(client)]
        if self.cut_off:
            return effects + self._enter_provisionally(pending, now)
        self._pending.add(pending, additional=not self._clients.is_own(client.session))
        return effects

    def leave(
        self, session: int, next_sequences: Mapping[str, int], now: float
    ) -> list[Effect]:
        """A client disconnects. An unknown client has left already."""
        pending = self._pending.pop(session)
        if pending is not None and not self._clients.is_own(session):
            # The registration may have been written.
            left = _left(pending.client, next_sequences)
            return [ProposeDelete(session, left)]
        client = self._clients.own_client(session)
        if client is None:
            self._membership.not_returning(session)
            return []
        return self._remove(client, next_sequences, "left", now)

    def expel(self, client: Client, now: float) -> list[Effect]:
        """Remove a client that exceeds its permissions."""
        self._pending.pop(client.session)
        return self._remove(client, {}, "no longer authorized", now, revoked=True)

    def tick(self, now: float) -> list[Effect]:
        """Handle the leases that have expired at ``now``."""
        if self.cut_off:
            return []
        expired = self._clients.leases.expire(now)
        if not self._shared:
            return self._membership.expire(expired, now) if expired else []
        effects: list[Effect] = []
        for session in expired:
            if self._pending.get(session) is None:
                effects += self._propose_delete(session, None, _LEASE_EXPIRED)
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None if nothing is pending."""
        return None if self.cut_off else self._clients.leases.next_expiry()

    # Messages of the engine

    def applied(self, change: Change, now: float) -> list[Effect]:
        """Apply a change that the engine has written, or drop one that it will never
        write."""
        match change:
            case PutClient(record=record):
                if record.broker == self._clients.broker:
                    return self._put_here(record.client, now)
                return self._put_elsewhere(record, now)
            case DeleteClient():
                return self._deleted(change, now)
            case Overtaken(session=session):
                self._pending.pop(session)
                if self._clients.is_own(session):
                    # Until the engine says where the client is.
                    self._clients.leases.end(session)
                    self._leaving.setdefault(session, _Leaving(None, "moved"))
        return []

    def set_cut_off(self, cut_off: bool, now: float) -> list[Effect]:
        """The connection to the engine is lost, or back."""
        if cut_off == self.cut_off:
            return []
        self.cut_off_since = now if cut_off else None
        if not cut_off:
            # There is time to learn which clients have moved meanwhile.
            self._clients.leases.extend(now)
            self._release_when_written(now)
            return []
        effects: list[Effect] = []
        for pending in self._pending.pop_all():
            effects += self._enter_provisionally(pending, now)
        for session, leaving in list(self._leaving.items()):
            if leaving.left is not None:
                del self._leaving[session]
                effects += self._remove_provisionally(session, leaving, now)
        return effects

    # Private

    def _put_here(self, client: Client, now: float) -> list[Effect]:
        """The engine has written a registration at this broker."""
        if self._provisional.confirm(client):
            self._release_when_written(now)
            return []
        pending = self._pending.get(client.session)
        if pending is None or pending.client != client:
            # An earlier registration, or one that is written again: nothing changes.
            # But if another broker had the client meanwhile, it has a lease here now,
            # to say where it is.
            elsewhere = self._clients.all.get(client.session) is not None
            if not elsewhere or self._clients.is_own(client.session):
                return []
            return self._membership.enter(client, self._clients.broker, now)
        self._pending.pop(client.session)
        self._leaving.pop(client.session, None)
        return self._enter(pending, now)

    def _put_elsewhere(self, record: ClientRecord, now: float) -> list[Effect]:
        """The engine has written a registration at another broker."""
        client = record.client
        effects: list[Effect] = []
        if self._clients.is_own(client.session):
            effects.append(Moved(client, record.broker))
            effects += self._membership.let_go(client)
        self._forget(client.session, now)
        displaced = self._own_at(client)
        effects += self._membership.enter(client, record.broker, now)
        return effects + self._withdraw(displaced, now)

    def _deleted(self, change: DeleteClient, now: float) -> list[Effect]:
        session, left = change.record.client.session, change.left
        leaving = self._leaving.get(session)
        if leaving is None and self._clients.is_own(session):
            written_again = session in self._provisional or left is None
            if written_again or self._pending.get(session) is not None:
                return []
        self._forget(session, now)
        if left is None and leaving is not None:
            left = leaving.left
        reason = "left" if left is not None else _LEASE_EXPIRED
        if leaving is not None:
            reason = leaving.reason
        return self._membership.remove(
            session,
            {} if left is None else left.next_sequences,
            reason,
            now,
            revoked=left is not None and left.revoked,
            silent=left is None,
        )

    def _enter(self, pending: Pending, now: float) -> list[Effect]:
        displaced = self._own_at(pending.client)
        effects = self._registration.enter(pending, now)
        return effects + self._withdraw(displaced, now)

    def _enter_provisionally(self, pending: Pending, now: float) -> list[Effect]:
        client = pending.client
        self._leaving.pop(client.session, None)
        there = self._clients.rival_of(client)
        hidden = None
        if there is not None and not self._clients.is_own(there.session):
            broker = self._clients.broker_of(there.session)
            hidden = ClientRecord(broker=broker, write=0, client=there)
        self._provisional.enter(client, hidden)
        self._membership.keep_topics_here(client, now)
        return self._enter(pending, now)

    def _remove(
        self,
        client: Client,
        next_sequences: Mapping[str, int],
        reason: str,
        now: float,
        *,
        revoked: bool = False,
    ) -> list[Effect]:
        session = client.session
        if not self._shared:
            return self._membership.remove(
                session, next_sequences, reason, now, revoked=revoked
            )
        left = _left(client, next_sequences, revoked=revoked)
        if not self.cut_off:
            return self._propose_delete(session, left, reason)
        effects = self._remove_provisionally(session, _Leaving(left, reason), now)
        return [*effects, ProposeDelete(session, left)]

    def _propose_delete(
        self, session: int, left: LeftRecord | None, reason: str
    ) -> list[Effect]:
        self._clients.leases.end(session)
        self._leaving[session] = _Leaving(left, reason)
        return [ProposeDelete(session, left)]

    def _remove_provisionally(
        self, session: int, leaving: _Leaving, now: float
    ) -> list[Effect]:
        left = leaving.left or LeftRecord()
        effects = self._membership.remove(
            session, left.next_sequences, leaving.reason, now, revoked=left.revoked
        )
        hidden = self._provisional.pop(session)
        if hidden is not None and self._clients.rival_of(hidden.client) is None:
            effects += self._membership.enter(hidden.client, hidden.broker, now)
        return effects

    def _forget(self, session: int, now: float) -> None:
        """The engine has decided about this client."""
        self._leaving.pop(session, None)
        self._provisional.forget(session)
        self._release_when_written(now)

    def _release_when_written(self, now: float) -> None:
        """When the engine has written all clients of this broker, the others know them."""
        if not self.cut_off and self._provisional.empty:
            self._membership.release_topics(now)

    def _own_at(self, client: Client) -> Client | None:
        """A publisher of this broker at the same address as one of another broker."""
        there = self._clients.rival_of(client) if self._shared else None
        if there is None or not self._clients.is_own(there.session):
            return None
        return there

    def _withdraw(self, displaced: Client | None, now: float) -> list[Effect]:
        """A publisher of this broker has lost its address. If it has requested the
        address again, the order in which the engine writes decides."""
        if displaced is None or self._pending.get(displaced.session) is not None:
            return []
        self._forget(displaced.session, now)
        return [ProposeDelete(displaced.session)]


def _left(
    client: Client, next_sequences: Mapping[str, int], *, revoked: bool = False
) -> LeftRecord:
    ends = own_ends(client, next_sequences)
    return LeftRecord(next_sequences=ends, revoked=revoked)

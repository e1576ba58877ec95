"""An engine in memory: the writes of the brokers of a group, in one order.

It replaces etcd (`pubsub_broker.registry.etcd`) without a server, threads or a clock of
its own: for tests of several broker cores in one process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    Overtaken,
    PutClient,
)
from pubsub_broker.registry.interface import Client


@dataclasses.dataclass(slots=True)
class _Leases:
    """When the two leases of a broker were renewed, while they exist."""

    alive_at: float
    clients_at: float
    alive: bool = True


class GroupLog:
    """The engine of a group. ``now`` is seconds of one clock of all brokers."""

    def __init__(self, *, alive_s: float = 3.0, clients_s: float = 15.0) -> None:
        """``alive_s`` and ``clients_s``: how long a broker counts as alive, and how
        long its clients stay, without renewal."""
        self.alive_s = alive_s
        self.clients_s = clients_s
        self.revision = 0
        self.changes: list[Change] = []
        self.clients: dict[int, PutClient] = {}
        self.brokers: dict[str, BrokerRecord] = {}
        self._leases: dict[str, _Leases] = {}

    def join(self, broker: str, record: BrokerRecord, now: float) -> LogMember:
        """A broker joins the group."""
        member = LogMember(self, broker, record)
        member.turn(now)
        return member

    def renew(self, broker: str, record: BrokerRecord, now: float) -> None:
        """A broker renews its leases."""
        leases = self._leases.get(broker)
        if leases is None or not leases.alive:
            leases = self._leases[broker] = _Leases(now, now)
            self.brokers[broker] = record
            self._next_revision()
            self.changes.append(BrokerCame(broker, record, self.revision))
        leases.alive_at = leases.clients_at = now

    def put(self, record: ClientRecord) -> None:
        """Write a client."""
        self._next_revision()
        change = PutClient(record, self.revision)
        self.clients[record.client.session] = change
        self.changes.append(change)

    def delete(self, session: int, left: LeftRecord | None) -> None:
        """Delete a client, if it exists."""
        written = self.clients.pop(session, None)
        if written is not None:
            self._next_revision()
            self.changes.append(DeleteClient(written.record, left, self.revision))

    def tick(self, now: float) -> None:
        """End expired leases."""
        for broker, leases in list(self._leases.items()):
            if leases.alive and leases.alive_at + self.alive_s <= now:
                self._end_alive(broker, leases)
            if leases.clients_at + self.clients_s <= now:
                del self._leases[broker]
                self._end_clients(broker)

    def restart(self, now: float) -> None:
        """The engine was down: existing leases start again."""
        for leases in self._leases.values():
            leases.alive_at = leases.clients_at = now

    def end(self, broker: str) -> None:
        """A broker ends normally: its clients stay for a while."""
        leases = self._leases.get(broker)
        if leases is not None and leases.alive:
            self._end_alive(broker, leases)

    def _end_alive(self, broker: str, leases: _Leases) -> None:
        leases.alive = False
        del self.brokers[broker]
        self._next_revision()
        self.changes.append(BrokerWent(broker, self.revision))

    def _end_clients(self, broker: str) -> None:
        """All its clients are deleted at one revision."""
        gone = [each for each in self.clients.values() if each.record.broker == broker]
        if gone:
            self._next_revision()
        for each in gone:
            del self.clients[each.record.client.session]
            self.changes.append(DeleteClient(each.record, None, self.revision))

    def _next_revision(self) -> None:
        self.revision += 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Proposal:
    """Write ``client``, or delete it if None, provided that it was last written at
    ``basis`` or by this broker."""

    client: Client | None
    left: LeftRecord | None
    basis: int


class LogMember:
    """The part of one broker: takes its proposals and returns the changes of all
    brokers. A `turn` does the work of a link to a server."""

    def __init__(self, log: GroupLog, broker: str, record: BrokerRecord) -> None:
        self.reachable = True  # whether the broker can ask the engine
        self._log = log
        self._broker = broker
        self._record = record
        self._writes = 0
        self._told = 0  # the number of changes delivered so far
        # the revisions that wrote clients, as delivered
        self._known: dict[int, int] = {}
        self._own: dict[int, Client] = {}  # the intended state
        self._waiting: dict[int, _Proposal] = {}
        self._changes: list[Change] = []
        self._renewed_at = float("-inf")

    # Like a link to a server

    def put_client(self, client: Client) -> None:
        """Register a client at this broker."""
        self._own[client.session] = client
        self._propose(client.session, client, None)

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """Remove a client of this broker."""
        if self._own.pop(session, None) is not None:
            self._propose(session, None, left)

    def take_changes(self) -> list[Change]:
        """The changes since the last call."""
        taken, self._changes = self._changes, []
        return taken

    def cut_off(self, now: float) -> bool:
        """Whether other brokers may consider this one dead."""
        return now >= self._renewed_at + self._log.alive_s

    def turn(self, now: float) -> None:
        """Renew, write pending proposals, and read changes, if the engine is reachable."""
        if not self.reachable:
            return
        self._log.tick(now)
        self.read(now)
        self.renew(now)
        self.write(now)
        self.read(now)

    # The steps of a turn

    def renew(self, now: float) -> None:
        """Renew the broker's leases."""
        self._log.renew(self._broker, self._record, now)
        self._renewed_at = now

    def write(self, _now: float) -> None:
        """Write all pending proposals."""
        waiting, self._waiting = self._waiting, {}
        for session, proposal in waiting.items():
            there = self._log.clients.get(session)
            if there is not None and not self._may_replace(there, proposal):
                self._drop(session)
            elif proposal.client is None:
                self._log.delete(session, proposal.left)
            else:
                self._writes += 1
                self._log.put(
                    ClientRecord(
                        broker=self._broker,
                        write=self._writes,
                        client=proposal.client,
                    )
                )

    def read(self, _now: float) -> None:
        """Read all new changes."""
        for change in self._log.changes[self._told :]:
            self._changes += self._follow(change)
        self._told = len(self._log.changes)

    # Private

    def _propose(
        self, session: int, client: Client | None, left: LeftRecord | None
    ) -> None:
        basis = self._known.get(session, 0)
        self._waiting[session] = _Proposal(client, left, basis)

    def _may_replace(self, there: PutClient, proposal: _Proposal) -> bool:
        own = there.record.broker == self._broker
        return own or there.revision <= proposal.basis

    def _drop(self, session: int) -> None:
        self._own.pop(session, None)
        self._changes.append(Overtaken(session))

    def _follow(self, change: Change) -> Iterator[Change]:
        match change:
            case PutClient(record=record, revision=revision):
                session = record.client.session
                waiting = self._waiting.get(session)
                if record.broker != self._broker:
                    self._own.pop(session, None)
                    if waiting is not None and waiting.basis < revision:
                        del self._waiting[session]
                        yield Overtaken(session)
                self._known[session] = revision
            case DeleteClient(record=record):
                session = record.client.session
                self._known.pop(session, None)
                own = self._own.get(session)
                if own is not None and session not in self._waiting:
                    if change.left is None:
                        self._propose(session, own, None)  # a lease in the engine ended
                    else:
                        del self._own[session]
        yield change

"""What one broker wants to be in etcd: its own record, its clients', and what the group must
agree on. What is there and not wanted is taken back, and what is wanted and not there, because a
lease or etcd's memory has gone, is written again."""

from __future__ import annotations

from pubsub_broker.registry.changes import (
    About,
    AboutTold,
    BrokerRecord,
    Change,
    ClientRecord,
    DeleteClient,
    LeftRecord,
    Overtaken,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.records import ABOUT, Name, client_name
from pubsub_broker.registry.etcd.writer import Writer
from pubsub_broker.registry.interface import Client


class OwnRecords:
    """Proposes to ``writer``, by what ``mirror`` knows to be there."""

    def __init__(
        self,
        mirror: Mirror,
        writer: Writer,
        broker: str,
        about: About,
        record: BrokerRecord,
    ) -> None:
        self._mirror = mirror
        self._writer = writer
        self._broker = broker
        self._about = about
        self._record = record
        # Until another broker has it.
        self._clients: dict[int, ClientRecord] = {}
        self._writes = 0

    # What the broker decides

    def put_client(self, client: Client) -> int:
        """As `Group.put_client`."""
        record = ClientRecord(
            broker=self._broker, write=self._writes + 1, client=client
        )
        self._propose(record)
        self._writes += 1
        self._clients[client.session] = record
        return record.write

    def delete_client(self, session: int, left: LeftRecord | None) -> None:
        """A client of this broker is to be gone."""
        if self._clients.pop(session, None) is not None:
            basis = self._mirror.written_at(client_name(session))
            self._writer.delete_client(session, left, basis)

    def describe(self, record: BrokerRecord) -> None:
        """The broker says something else of itself."""
        self._record = record
        self.propose_broker()

    # What etcd tells

    def follow(self, changes: list[Change]) -> list[Change]:
        """Do what the changes ask of this broker; returns those that it is to be told of,
        and what is void by them."""
        restored = is_restored(changes)
        found: list[Change] = []
        for change in changes:
            found += self.dropped(self._writer.observed(change))
            if self._concerns_others(change, restored=restored):
                found.append(change)
        if restored:
            # Who has a client there is what was so some time ago. Each broker writes its own
            # anew; only then it takes back those that it has no more.
            self.propose_broker()
            for record in self._clients.values():
                self._propose(record)
        return found

    def dropped(self, overtaken: list[Overtaken]) -> list[Overtaken]:
        """These clients are other brokers'."""
        for each in overtaken:
            self._clients.pop(each.session, None)
        return overtaken

    def mismatch(self) -> str:
        """Why this broker cannot be in the group; empty if it can."""
        known = self._mirror.about
        if known is None or known == self._about:
            return ""
        if known.format != self._about.format:
            return (
                f"the group has format {known.format} in etcd, and this broker "
                f"{self._about.format}"
            )
        return f"the group is {known.model}, and this broker {self._about.model}"

    # What is written again, or taken back

    def propose_broker(self) -> None:
        """Have the broker's own record written."""
        name = Name("brokers", self._broker)
        self._writer.put(name, self._record, "alive", self._mirror.written_at(name))

    def propose_about(self) -> None:
        """Have written what the group must agree on, unless that is there."""
        if not self._mirror.written_at(ABOUT):
            self._writer.put(ABOUT, self._about, None, 0)

    def propose_missing(self) -> None:
        """Have clients written that were written, and deleted with their lease, before the
        mirror was told of them."""
        for session, record in self._clients.items():
            if self._mirror.client(session) is None and not self._writer.has(session):
                self._propose(record)

    def take_back(self) -> None:
        """Have clients deleted that a restored etcd brought back."""
        for record in list(self._mirror.clients()):
            self._take_back(record)

    # Inside

    def _concerns_others(self, change: Change, *, restored: bool) -> bool:
        """Do what a change asks for; whether the broker is to be told of it."""
        match change:
            case PutClient(record=record) if restored:
                # That was so; what is to be so is written now.
                return record.client.session not in self._clients
            case PutClient(record=record):
                if record.broker != self._broker:
                    self._clients.pop(record.client.session, None)
                self._take_back(record)
            case DeleteClient(record=record, left=left):
                own = self._clients.get(record.client.session)
                if own is not None and left is not None and record == own:
                    # It left at another broker, which has not registered it before.
                    del self._clients[record.client.session]
                elif own is not None:
                    self._propose(own)
            case AboutTold(about=None):
                self.propose_about()
        return True

    def _take_back(self, record: ClientRecord) -> None:
        """Delete what this broker has written of a client that is not its any more: by a
        request that had no answer and came late, or in the time before a backup."""
        session = record.client.session
        if record.broker != self._broker or session in self._clients:
            return
        if not self._writer.has(session):
            basis = self._mirror.written_at(client_name(session))
            self._writer.delete_client(session, None, basis)

    def _propose(self, record: ClientRecord) -> None:
        name = client_name(record.client.session)
        self._writer.put(name, record, "clients", self._mirror.written_at(name))


def is_restored(changes: list[Change]) -> bool:
    """Whether etcd is what it was some time ago."""
    return any(isinstance(change, Restored) for change in changes)

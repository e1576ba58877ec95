"""The records that one broker wants in etcd: its own, its clients', and the agreed
settings of the group. It deletes records in etcd that it no longer wants, and writes
records again that are missing because a lease expired or etcd lost them."""

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
    """Makes proposals to ``writer``, from the state in ``mirror``."""

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

    # Decisions of the broker

    def put_client(self, client: Client) -> int:
        """See `Group.put_client`."""
        record = ClientRecord(
            broker=self._broker, write=self._writes + 1, client=client
        )
        self._propose(record)
        self._writes += 1
        self._clients[client.session] = record
        return record.write

    def delete_client(self, session: int, left: LeftRecord | None) -> None:
        """Remove a client of this broker."""
        if self._clients.pop(session, None) is not None:
            basis = self._mirror.written_at(client_name(session))
            self._writer.delete_client(session, left, basis)

    def describe(self, record: BrokerRecord) -> None:
        """Change the broker's own record."""
        self._record = record
        self.propose_broker()

    # Changes from etcd

    def follow(self, changes: list[Change]) -> list[Change]:
        """React to changes; returns those for the broker, and the proposals that they
        make void."""
        restored = is_restored(changes)
        found: list[Change] = []
        for change in changes:
            found += self.dropped(self._writer.observed(change))
            if self._concerns_others(change, restored=restored):
                found.append(change)
        if restored:
            # The owners of clients are those of an earlier time. Each broker writes its
            # own clients again, and only then deletes those that it no longer has.
            self.propose_broker()
            for record in self._clients.values():
                self._propose(record)
        return found

    def dropped(self, overtaken: list[Overtaken]) -> list[Overtaken]:
        """Other brokers have these clients now."""
        for each in overtaken:
            self._clients.pop(each.session, None)
        return overtaken

    def mismatch(self) -> str:
        """The reason why this broker cannot be in the group; empty if it can."""
        known = self._mirror.about
        if known is None or known == self._about:
            return ""
        if known.format != self._about.format:
            return (
                f"the group has format {known.format} in etcd, and this broker "
                f"{self._about.format}"
            )
        return f"the group is {known.model}, and this broker {self._about.model}"

    # Repairs

    def propose_broker(self) -> None:
        """Write the broker's own record."""
        name = Name("brokers", self._broker)
        self._writer.put(name, self._record, "alive", self._mirror.written_at(name))

    def propose_about(self) -> None:
        """Write the agreed settings of the group, if they are missing."""
        if not self._mirror.written_at(ABOUT):
            self._writer.put(ABOUT, self._about, None, 0)

    def propose_missing(self) -> None:
        """Write clients again that were deleted with their lease before the mirror saw
        them."""
        for session, record in self._clients.items():
            if self._mirror.client(session) is None and not self._writer.has(session):
                self._propose(record)

    def take_back(self) -> None:
        """Delete clients that a restored etcd brought back."""
        for record in list(self._mirror.clients()):
            self._take_back(record)

    # Private

    def _concerns_others(self, change: Change, *, restored: bool) -> bool:
        """React to a change; returns whether the broker needs it."""
        match change:
            case PutClient(record=record) if restored:
                # This is an old state; the intended one is being written.
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
        """Delete this broker's record of a client that it no longer has. The record
        comes from a late request without an answer, or from before a backup."""
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
    """Whether etcd is back at an earlier state."""
    return any(isinstance(change, Restored) for change in changes)

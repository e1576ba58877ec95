"""One broker's part in a group: its own clients in etcd, and what etcd tells of all.

It joins mirror, writer and leases, and has the rules that need all three: what is written
again when a lease or etcd's memory has gone, and what is taken back. The shell asks etcd what
is to be asked, and hands over the answers, in any threads, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

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
from pubsub_broker.registry.etcd.answers import (
    LeaseAnswer,
    Listing,
    TransactionAnswer,
    WatchAnswer,
)
from pubsub_broker.registry.etcd.leases import Kind, Leases
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.records import ABOUT, Keys, Name, client_name
from pubsub_broker.registry.etcd.requests import Transaction
from pubsub_broker.registry.etcd.writer import Writer
from pubsub_broker.registry.interface import Client


class Group:
    """``now`` is seconds of one monotonic clock; ``sent_at`` is when a request was sent."""

    def __init__(
        self,
        keys: Keys,
        broker: str,
        about: About,
        record: BrokerRecord,
        *,
        alive_s: int,
        clients_s: int,
    ) -> None:
        """``broker`` is the name of this broker, of this start of it. Its two leases last
        ``alive_s`` and ``clients_s``."""
        self.broker = broker
        self.mirror = Mirror(keys, hold_s=clients_s)
        self._about = about
        self._record = record
        self._writer = Writer(keys, broker)
        self._leases = Leases(alive_s, clients_s)
        # What this broker wants to be in etcd, until another one has it.
        self._own: dict[int, ClientRecord] = {}
        self._writes = 0
        self._hold_s = clients_s
        # When clients that a restored etcd brought back are taken back.
        self._take_back_at: float | None = None

    # What the broker decides

    def put_client(self, client: Client) -> int:
        """A client is to be registered at this broker; returns the number of the write,
        which the mirror's change has when that is so.

        Raises:
            TooLarge: it does not fit into a transaction.
        """
        record = ClientRecord(broker=self.broker, write=self._writes + 1, client=client)
        self._propose(record)
        self._writes += 1
        self._own[client.session] = record
        return record.write

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """A client of this broker is to be gone."""
        if self._own.pop(session, None) is not None:
            basis = self.mirror.written_at(client_name(session))
            self._writer.delete_client(session, left, basis)

    def describe(self, record: BrokerRecord) -> None:
        """The broker says something else of itself."""
        self._record = record
        self._propose_broker()

    # What etcd answers

    def listed(self, listing: Listing, now: float) -> list[Change]:
        """The keys of the group."""
        first = not self.mirror.revision
        changes = self.mirror.listed(listing, now)
        found = self._follow(changes)
        if _is_restored(changes):
            self._take_back_at = now + self._hold_s
        for session, record in self._own.items():
            # It was written and deleted with its lease before the mirror was told of it.
            if self.mirror.client(session) is None and not self._writer.has(session):
                self._propose(record)
        if first and not self.mirror.written_at(ABOUT):
            self._writer.put(ABOUT, self._about, None, 0)
        return found

    def watched(self, answer: WatchAnswer) -> list[Change]:
        """An answer to the watch that began at the mirror's next revision."""
        return self._follow(self.mirror.watched(answer))

    def answered(self, answer: TransactionAnswer) -> list[Overtaken]:
        """The transaction of `to_write` was carried out."""
        return self._drop(self._writer.answered(answer))

    def unanswered(self) -> None:
        """It had no answer, or was refused."""
        self._writer.unanswered()

    def granted(self, kind: Kind, answer: LeaseAnswer, sent_at: float) -> None:
        """A lease was granted: what waits for it can be written."""
        self._leases.granted(kind, answer.ID, answer.TTL, sent_at)
        if kind == "alive":
            self._propose_broker()

    def renewed(self, seconds: Mapping[int, int], sent_at: float) -> None:
        """Leases were renewed, or are gone: then they are to be granted anew."""
        self._leases.renewed(seconds, sent_at)

    def lease_gone(self) -> None:
        """The transaction was refused because a lease is gone, whichever: a renewal tells,
        and is due now. The one that is not renewed is granted anew."""
        self._writer.unanswered()
        self._leases.renew_now()
        self._leases.forget("left")

    def tick(self, now: float) -> list[Change]:
        """What is due at ``now``."""
        if self._take_back_at is not None and now >= self._take_back_at:
            self._take_back_at = None
            for record in list(self.mirror.clients()):
                self._take_back(record)
        return self._follow(self.mirror.tick(now))

    # What is to be asked

    def to_write(self, now: float) -> Transaction | None:
        """The next transaction, if there is something to write."""
        return self._writer.transaction(self._leases.ids(now))

    def to_grant(self, now: float) -> dict[Kind, int]:
        """The leases to be granted, and their seconds."""
        return self._leases.to_grant(now, leaving=self._writer.leaving)

    def to_renew(self, now: float) -> list[int]:
        """The leases to be renewed now, in one request."""
        return self._leases.to_renew(now)

    def to_revoke(self) -> list[int]:
        """The leases to be revoked when this broker ends; not that of its clients."""
        return self._leases.to_revoke()

    def next_deadline(self, now: float) -> float:
        """When one of these, or `tick`, is due; what there is to write, is so at once."""
        times = (
            self._leases.next_deadline(now),
            self.mirror.next_deadline(),
            self._take_back_at,
        )
        return min(time for time in times if time is not None)

    # What the broker may know

    def cut_off(self, now: float) -> bool:
        """Whether other brokers may take this one for gone."""
        return self._leases.cut_off(now)

    def is_behind(self) -> bool:
        """Whether the mirror has not been told yet of what this broker has written."""
        return self.mirror.revision < self._writer.revision

    def mismatch(self) -> str:
        """Why this broker cannot be in the group; empty if it can."""
        known = self.mirror.about
        if known is None or known == self._about:
            return ""
        if known.format != self._about.format:
            return (
                f"the group has format {known.format} in etcd, and this broker "
                f"{self._about.format}"
            )
        return f"the group is {known.model}, and this broker {self._about.model}"

    # Inside

    def _follow(self, changes: list[Change]) -> list[Change]:
        """Do what the changes ask of this broker."""
        restored = _is_restored(changes)
        found: list[Change] = []
        for change in changes:
            found += self._drop(self._writer.observed(change))
            match change:
                case PutClient(record=record) if restored:
                    if record.client.session in self._own:
                        continue  # that was so; what is to be so is written now
                case PutClient(record=record):
                    if record.broker != self.broker:
                        self._own.pop(record.client.session, None)
                    self._take_back(record)
                case DeleteClient(record=record, left=left):
                    own = self._own.get(record.client.session)
                    if own is not None and left is not None and record == own:
                        # It left at another broker, which has not registered it before.
                        del self._own[record.client.session]
                    elif own is not None:
                        self._propose(own)
                case AboutTold(about=None):
                    self._writer.put(ABOUT, self._about, None, 0)
            found.append(change)
        if restored:
            # Who has a client there is what was so some time ago. Each broker writes its own
            # anew; only then it takes back those that it has no more.
            self._propose_broker()
            self._propose_clients()
        return found

    def _take_back(self, record: ClientRecord) -> None:
        """Delete what this broker has written of a client that is not its any more: by a
        request that had no answer and came late, or in the time before a backup."""
        session = record.client.session
        if record.broker != self.broker or session in self._own:
            return
        if not self._writer.has(session):
            basis = self.mirror.written_at(client_name(session))
            self._writer.delete_client(session, None, basis)

    def _drop(self, overtaken: list[Overtaken]) -> list[Overtaken]:
        for each in overtaken:
            self._own.pop(each.session, None)
        return overtaken

    def _propose_broker(self) -> None:
        name = Name("brokers", self.broker)
        self._writer.put(name, self._record, "alive", self.mirror.written_at(name))

    def _propose_clients(self) -> None:
        for record in self._own.values():
            self._propose(record)

    def _propose(self, record: ClientRecord) -> None:
        name = client_name(record.client.session)
        self._writer.put(name, record, "clients", self.mirror.written_at(name))


def _is_restored(changes: list[Change]) -> bool:
    return any(isinstance(change, Restored) for change in changes)

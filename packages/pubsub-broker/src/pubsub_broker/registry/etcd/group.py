"""One broker's part in a group: its own clients in etcd, and the state of all from
etcd.

It combines mirror, writer, leases and the intended records. The shell sends the
requests to etcd, and passes on the answers, in any threads, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    Change,
    LeftRecord,
    Overtaken,
)
from pubsub_broker.registry.etcd.answers import (
    LeaseAnswer,
    Listing,
    TransactionAnswer,
    WatchAnswer,
)
from pubsub_broker.registry.etcd.leases import Kind, Leases
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.own_records import OwnRecords, is_restored
from pubsub_broker.registry.etcd.records import Keys
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
        """``broker`` is the name of this broker, new at each start. Its two leases last
        ``alive_s`` and ``clients_s``."""
        self.broker = broker
        self.mirror = Mirror(keys, hold_s=clients_s)
        self._writer = Writer(keys, broker)
        self.own = OwnRecords(self.mirror, self._writer, broker, about, record)
        self._leases = Leases(alive_s, clients_s)
        self._hold_s = clients_s
        # When to delete clients that a restored etcd brought back.
        self._take_back_at: float | None = None

    # Decisions of the broker

    def put_client(self, client: Client) -> int:
        """Register a client at this broker; returns the number of the write, which the
        mirror's change will have.

        Raises:
            TooLarge: it does not fit into a transaction.
        """
        return self.own.put_client(client)

    def delete_client(self, session: int, left: LeftRecord | None = None) -> None:
        """Remove a client of this broker."""
        self.own.delete_client(session, left)

    # Answers of etcd

    def listed(self, listing: Listing, now: float) -> list[Change]:
        """The keys of the group."""
        first = not self.mirror.revision
        changes = self.mirror.listed(listing, now)
        found = self.own.follow(changes)
        if is_restored(changes):
            self._take_back_at = now + self._hold_s
        self.own.propose_missing()
        if first:
            self.own.propose_about()
        return found

    def watched(self, answer: WatchAnswer) -> list[Change]:
        """An answer to the watch that started at the mirror's next revision."""
        return self.own.follow(self.mirror.watched(answer))

    def answered(self, answer: TransactionAnswer) -> list[Overtaken]:
        """The transaction of `to_write` was executed."""
        return self.own.dropped(self._writer.answered(answer))

    def unanswered(self) -> None:
        """It had no answer, or was rejected."""
        self._writer.unanswered()

    def granted(self, kind: Kind, answer: LeaseAnswer, sent_at: float) -> None:
        """A lease was granted, so records that wait for it can be written."""
        self._leases.granted(kind, answer.ID, answer.TTL, sent_at)
        if kind == "alive":
            self.own.propose_broker()

    def renewed(self, seconds: Mapping[int, int], sent_at: float) -> None:
        """Leases were renewed; those that are gone must be granted again."""
        self._leases.renewed(seconds, sent_at)

    def lease_gone(self) -> None:
        """The transaction was rejected because a lease is gone. A renewal finds out
        which one, and is due now; the lease that is not renewed is granted again."""
        self._writer.unanswered()
        self._leases.renew_now()
        self._leases.forget("left")

    def tick(self, now: float) -> list[Change]:
        """Handle everything due at ``now``."""
        if self._take_back_at is not None and now >= self._take_back_at:
            self._take_back_at = None
            self.own.take_back()
        return self.own.follow(self.mirror.tick(now))

    # Requests to etcd

    def to_write(self, now: float) -> Transaction | None:
        """The next transaction, if there is something to write."""
        return self._writer.transaction(self._leases.ids(now))

    def to_grant(self, now: float) -> dict[Kind, int]:
        """The leases to grant, and their seconds."""
        return self._leases.to_grant(now, leaving=self._writer.leaving)

    def to_renew(self, now: float) -> list[int]:
        """The leases to renew now, in one request."""
        return self._leases.to_renew(now)

    def to_revoke(self) -> list[int]:
        """The leases to revoke when this broker ends, except that of its clients."""
        return self._leases.to_revoke()

    def next_deadline(self, now: float) -> float:
        """When one of these, or `tick`, is due; pending writes are due immediately."""
        times = (
            self._leases.next_deadline(now),
            self.mirror.next_deadline(),
            self._take_back_at,
        )
        return min(time for time in times if time is not None)

    # State for the broker

    def cut_off(self, now: float) -> bool:
        """Whether other brokers may consider this one dead."""
        return self._leases.cut_off(now)

    def is_behind(self) -> bool:
        """Whether the mirror lacks a write of this broker."""
        return self.mirror.revision < self._writer.revision

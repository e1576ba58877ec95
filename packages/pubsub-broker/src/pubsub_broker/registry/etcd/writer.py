"""What a broker writes to etcd: proposals in, transactions out, one at a time.

While one is under way, others gather, so that the more there is to write the larger the
transactions are. Whatever had no answer is written again. What another broker has written
over meanwhile is dropped: its client has moved there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from pubsub_broker.registry.changes import (
    Change,
    ClientRecord,
    LeftRecord,
    Overtaken,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.answers import KeyValue, TransactionAnswer
from pubsub_broker.registry.etcd.leases import Kind
from pubsub_broker.registry.etcd.proposals import Proposal, outcomes
from pubsub_broker.registry.etcd.records import (
    Keys,
    Name,
    Record,
    client_name,
    decode,
    encode,
    left_name,
    session_of,
)
from pubsub_broker.registry.etcd.requests import Transaction

# etcd takes 128 operations and 1.5 MiB in a transaction, unless it is told otherwise.
MAX_KEYS: Final = 100
MAX_BYTES: Final = 1024 * 1024


class TooLarge(Exception):
    """What is to be written does not fit into a transaction."""


class Writer:
    """The proposals of one broker. That one was carried out is told by the mirror; here it is
    only told that one never will be."""

    def __init__(self, keys: Keys, broker: str) -> None:
        self.revision = 0  # of what was written last: the mirror must come to have it
        self._keys = keys
        self._broker = broker
        # In the order in which they are written; of each key the latest.
        self._waiting: dict[Name, Proposal] = {}
        self._under_way: tuple[Proposal, ...] = ()
        self._void = (
            False  # whether nobody wants to know any more what becomes of these
        )

    # Input

    def put(self, name: Name, record: Record, lease: Kind | None, basis: int) -> None:
        """Have a record written, if its key was last written at ``basis``, or by this
        broker since.

        Raises:
            TooLarge: it does not fit into a transaction.
        """
        self._propose(
            Proposal(name=name, value=encode(record), lease=lease, basis=basis)
        )

    def delete_client(self, session: int, left: LeftRecord | None, basis: int) -> None:
        """Have a client deleted, if it was last written so, and how it left written, if
        others need to know.

        Raises:
            TooLarge: how it left does not fit into a transaction.
        """
        told = None if left is None else (left_name(session), encode(left))
        self._propose(
            Proposal(name=client_name(session), value=None, basis=basis, left=told)
        )

    def observed(self, change: Change) -> list[Overtaken]:
        """The mirror told of a change."""
        match change:
            case PutClient(record=record, revision=revision):
                name = client_name(record.client.session)
                if record.broker == self._broker:
                    self._raise_basis(name, revision)
                elif name in self._waiting:
                    return self._drop(name, revision)
            case Restored():
                # Revisions mean something else now; the broker proposes all of its own anew.
                self._waiting.clear()
                self._void = True
                self.revision = 0
        return []

    def answered(self, answer: TransactionAnswer) -> list[Overtaken]:
        """The transaction under way was carried out.

        Raises:
            EtcdRefused: it is no answer to that; it counts as none.
        """
        found = outcomes(answer, len(self._under_way))
        under_way, self._under_way = self._under_way, ()
        if self._void:
            return []
        overtaken = []
        for proposal, (done, there) in zip(under_way, found, strict=True):
            if done and proposal.changes_something:
                self.revision = max(self.revision, answer.header.revision)
                self._raise_basis(proposal.name, answer.header.revision)
            elif not done:
                overtaken += self._not_done(proposal, there)
        return overtaken

    def unanswered(self) -> None:
        """Whether the transaction under way was carried out is not known, or it was refused
        because a lease had ended: write again what no later proposal stands for."""
        again = () if self._void else self._under_way
        self._under_way = ()
        self._waiting = {each.name: each for each in again} | self._waiting

    # Output

    def has(self, session: int) -> bool:
        """Whether something is to be written, or under way, of this client."""
        name = client_name(session)
        return name in self._waiting or any(
            proposal.name == name for proposal in self._under_way
        )

    @property
    def waits(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    @property
    def leaving(self) -> bool:
        """Whether there is something among it that needs the lease of those that left."""
        return any(proposal.left for proposal in self._waiting.values())

    def transaction(self, leases: Mapping[Kind, int]) -> Transaction | None:
        """What to write now; None: nothing, or the leases for it are missing. The next one
        follows when this was `answered`, or `unanswered`."""
        assert not self._under_way
        self._under_way = tuple(self._next(leases))
        self._void = False
        for proposal in self._under_way:
            del self._waiting[proposal.name]
        parts = [each.part(self._keys, leases) for each in self._under_way]
        return Transaction(success=parts) if parts else None

    # Inside

    def _propose(self, proposal: Proposal) -> None:
        if proposal.size(self._keys) > MAX_BYTES:
            raise TooLarge(f"{proposal.size(self._keys)} bytes")
        self._waiting[proposal.name] = proposal

    def _next(self, leases: Mapping[Kind, int]) -> Iterator[Proposal]:
        count = size = 0
        for proposal in self._waiting.values():
            if not proposal.lease_kinds() <= leases.keys():
                continue
            count += proposal.key_count
            size += proposal.size(self._keys)
            if count > MAX_KEYS or size > MAX_BYTES:
                return
            yield proposal

    def _not_done(self, proposal: Proposal, there: KeyValue | None) -> list[Overtaken]:
        """A proposal was not carried out, because this is there, or nothing."""
        name = proposal.name
        if there is not None and there.value == proposal.value:
            # It was, when there was no answer.
            self.revision = max(self.revision, there.mod_revision)
            self._raise_basis(name, there.mod_revision)
        elif there is not None and not self._is_own(name, there):
            return self._drop(name, there.mod_revision)
        elif there is not None or proposal.value is not None:
            # An earlier write of this broker, or one that went with its lease.
            again = self._waiting.get(name, proposal)
            basis = 0 if there is None else there.mod_revision
            self._waiting[name] = replace(again, basis=basis)
        return []

    def _drop(self, name: Name, revision: int) -> list[Overtaken]:
        """Another broker wrote the key at this revision."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis >= revision:
            return []  # that was decided with this known
        self._waiting.pop(name, None)
        return [Overtaken(session_of(name))] if name.kind == "clients" else []

    def _raise_basis(self, name: Name, revision: int) -> None:
        """This broker wrote a key, so what it proposed meanwhile follows upon that."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis < revision:
            self._waiting[name] = replace(waiting, basis=revision)

    def _is_own(self, name: Name, there: KeyValue) -> bool:
        if name.kind == "brokers":
            return True  # nobody else writes that
        try:
            record = decode(name, there.value)
        except ValueError:
            return False
        return isinstance(record, ClientRecord) and record.broker == self._broker

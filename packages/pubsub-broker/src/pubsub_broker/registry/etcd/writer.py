"""What a broker writes to etcd: proposals in, transactions out, one at a time.

While one is under way, others gather, so that the more there is to write the larger the
transactions are. Whatever had no answer is written again. What another broker has written
over meanwhile is dropped: its client has moved there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from pubsub_broker.registry.etcd.answers import KeyValue, TransactionAnswer
from pubsub_broker.registry.etcd.changes import (
    Change,
    DeleteClient,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.leases import Kind
from pubsub_broker.registry.etcd.proposals import Proposal, outcomes
from pubsub_broker.registry.etcd.records import (
    ClientRecord,
    Keys,
    LeftRecord,
    Name,
    Record,
    client_name,
    decode,
    encode,
    left_name,
)
from pubsub_broker.registry.etcd.requests import Transaction

# etcd takes 128 operations and 1.5 MiB in a transaction, unless it is told otherwise.
MAX_KEYS: Final = 100
MAX_BYTES: Final = 1024 * 1024


class Overtaken(msgspec.Struct, frozen=True):
    """Another broker wrote this key, so what was proposed is void."""

    name: Name


class TooLarge(Exception):
    """What is to be written does not fit into a transaction."""


class Writer:
    """The proposals of one broker. All that it gives is the names of keys whose proposals
    were overtaken; that others were carried out is told by the mirror."""

    def __init__(self, keys: Keys, broker: str) -> None:
        self.revision = 0  # of what was written last: the mirror must come to have it
        self._keys = keys
        self._broker = broker
        # In the order in which they are written; of each key the latest.
        self._waiting: dict[Name, Proposal] = {}
        self._under_way: dict[Name, Proposal] = {}  # in the order of the transaction
        self._settled: set[Name] = set()  # those of them that the mirror told of
        # When that was that the mirror has not told of yet.
        self._written: dict[Name, int] = {}

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
        name = client_name(session)
        told = None if left is None else (left_name(session), encode(left))
        known = self._waiting, self._under_way, self._written
        if basis or any(name in each for each in known):
            self._propose(Proposal(name=name, value=None, basis=basis, left=told))

    def observed(self, change: Change) -> list[Overtaken]:
        """The mirror told of a change."""
        match change:
            case PutClient(record=record, revision=revision):
                name = client_name(record.client.session)
                self._told(name, revision)
                if record.broker != self._broker:
                    return self._written_by_other(name, revision)
                self._raise_basis(name, revision)
                under_way = self._under_way.get(name)
                if under_way is not None and under_way.value == encode(record):
                    self._settled.add(name)
            case DeleteClient(record=record, revision=revision):
                self._told(client_name(record.client.session), revision)
            case Restored():
                # All revisions mean something else; the broker proposes all anew.
                self._waiting.clear()
                self._written.clear()
                self._settled |= self._under_way.keys()
                self.revision = 0
        return []

    def answered(self, answer: TransactionAnswer) -> list[Overtaken]:
        """The transaction under way was carried out.

        Raises:
            EtcdRefused: it is no answer to that; it counts as none.
        """
        found = outcomes(answer, len(self._under_way))
        settled, self._settled = self._settled, set()
        proposals = list(self._under_way.values())
        self._under_way = {}
        overtaken = []
        for proposal, (done, there) in zip(proposals, found, strict=True):
            if proposal.name not in settled:
                revision = answer.header.revision if done else 0
                overtaken += self._settle(proposal, revision, there)
        return overtaken

    def unanswered(self) -> None:
        """Whether the transaction under way was carried out is not known, or it was refused
        because a lease had ended: write again what no later proposal stands for."""
        again = {
            name: proposal
            for name, proposal in self._under_way.items()
            if name not in self._settled
        }
        self._waiting = again | self._waiting
        self._under_way = {}
        self._settled = set()

    # Output

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
        held = dict(leases)
        self._under_way = {each.name: each for each in self._next(held)}
        for name in self._under_way:
            del self._waiting[name]
        parts = [each.part(self._keys, held) for each in self._under_way.values()]
        return Transaction(success=parts) if parts else None

    # Inside

    def _propose(self, proposal: Proposal) -> None:
        if proposal.size(self._keys) > MAX_BYTES:
            raise TooLarge(f"{proposal.size(self._keys)} bytes")
        self._waiting[proposal.name] = proposal
        self._raise_basis(proposal.name, self._written.get(proposal.name, 0))

    def _next(self, leases: dict[Kind, int]) -> Iterator[Proposal]:
        count = size = 0
        for proposal in self._waiting.values():
            if not proposal.lease_kinds() <= leases.keys():
                continue
            count += proposal.key_count
            size += proposal.size(self._keys)
            if count > MAX_KEYS or size > MAX_BYTES:
                return
            yield proposal

    def _settle(
        self, proposal: Proposal, revision: int, there: KeyValue | None
    ) -> list[Overtaken]:
        """What became of a proposal: it was carried out at ``revision``; or, if that is 0,
        it was not, because this is there instead."""
        name = proposal.name
        if revision:
            self._has_written(name, revision)
        elif there is None:
            if proposal.value is not None:
                self._waiting.setdefault(name, proposal)
                self._waiting[name] = replace(self._waiting[name], basis=0)
        elif there.value == proposal.value:
            self._has_written(name, there.mod_revision)  # when there was no answer
        elif self._is_own(name, there):
            self._waiting.setdefault(name, proposal)
            self._raise_basis(name, there.mod_revision)
        else:
            return self._drop(name, there.mod_revision)
        return []

    def _written_by_other(self, name: Name, revision: int) -> list[Overtaken]:
        under_way = self._under_way.get(name)
        if under_way is not None and under_way.basis < revision:
            self._settled.add(name)
            return self._drop(name, revision)
        return self._drop(name, revision) if name in self._waiting else []

    def _drop(self, name: Name, revision: int) -> list[Overtaken]:
        """Another broker wrote the key at this revision."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis >= revision:
            return []  # that was decided with this known
        self._waiting.pop(name, None)
        return [Overtaken(name)]

    def _has_written(self, name: Name, revision: int) -> None:
        self.revision = max(self.revision, revision)
        self._written[name] = revision
        self._raise_basis(name, revision)

    def _raise_basis(self, name: Name, revision: int) -> None:
        """This broker wrote a key, so what it proposed meanwhile follows upon that."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis < revision:
            self._waiting[name] = replace(waiting, basis=revision)

    def _told(self, name: Name, revision: int) -> None:
        """The mirror has told of this and what was before."""
        if self._written.get(name, revision) <= revision:
            self._written.pop(name, None)

    def _is_own(self, name: Name, there: KeyValue) -> bool:
        if name.kind == "brokers":
            return True  # nobody else writes that
        try:
            record = decode(name, there.value)
        except ValueError:
            return False
        return isinstance(record, ClientRecord) and record.broker == self._broker

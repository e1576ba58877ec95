"""Writes to etcd: proposals in, transactions out, one at a time.

During a transaction further proposals gather, so transactions are larger when there is
more to write. A proposal without an answer is written again. If another broker has
written the key meanwhile, the proposal is dropped: its client has moved there.
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

# The default limits of etcd are 128 operations and 1.5 MiB per transaction.
MAX_KEYS: Final = 100
MAX_BYTES: Final = 1024 * 1024


class TooLarge(Exception):
    """A proposal does not fit into a transaction."""


class Writer:
    """The proposals of one broker. The mirror reports executed proposals; the writer
    only reports those that never will be."""

    def __init__(self, keys: Keys, broker: str) -> None:
        self.revision = 0  # of the last write, which the mirror must reach
        self._keys = keys
        self._broker = broker
        # In the order of writing; the latest for each key.
        self._waiting: dict[Name, Proposal] = {}
        self._under_way: tuple[Proposal, ...] = ()
        self._void = False  # whether the results of these no longer matter

    # Input

    def put(self, name: Name, record: Record, lease: Kind | None, basis: int) -> None:
        """Write a record, if its key was last written at ``basis``, or by this broker
        since.

        Raises:
            TooLarge: it does not fit into a transaction.
        """
        self._propose(
            Proposal(name=name, value=encode(record), lease=lease, basis=basis)
        )

    def delete_client(self, session: int, left: LeftRecord | None, basis: int) -> None:
        """Delete a client, if its key is unchanged, and write the details of its
        departure, if other brokers need them.

        Raises:
            TooLarge: the details do not fit into a transaction.
        """
        told = None if left is None else (left_name(session), encode(left))
        self._propose(
            Proposal(name=client_name(session), value=None, basis=basis, left=told)
        )

    def observed(self, change: Change) -> list[Overtaken]:
        """The mirror reported a change."""
        match change:
            case PutClient(record=record, revision=revision):
                name = client_name(record.client.session)
                if record.broker == self._broker:
                    self._raise_basis(name, revision)
                elif name in self._waiting:
                    return self._drop(name, revision)
            case Restored():
                # Revisions have started again; the broker proposes all its own records
                # again.
                self._waiting.clear()
                self._void = True
                self.revision = 0
        return []

    def answered(self, answer: TransactionAnswer) -> list[Overtaken]:
        """The transaction in progress was executed.

        Raises:
            EtcdRefused: the answer is invalid; it counts as missing.
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
        """The transaction in progress may or may not have been executed, or was
        rejected because a lease had expired: write its proposals again, unless later
        ones replace them."""
        again = () if self._void else self._under_way
        self._under_way = ()
        self._waiting = {each.name: each for each in again} | self._waiting

    # Output

    def has(self, session: int) -> bool:
        """Whether a proposal for this client waits or is in progress."""
        name = client_name(session)
        return name in self._waiting or any(
            proposal.name == name for proposal in self._under_way
        )

    @property
    def waits(self) -> bool:
        """Whether a proposal waits."""
        return bool(self._waiting)

    @property
    def leaving(self) -> bool:
        """Whether a waiting proposal needs the lease for departures."""
        return any(proposal.left for proposal in self._waiting.values())

    def transaction(self, leases: Mapping[Kind, int]) -> Transaction | None:
        """The transaction to write now; None: there is none, or its leases are missing.
        The next one follows after `answered` or `unanswered`."""
        assert not self._under_way
        self._under_way = tuple(self._next(leases))
        self._void = False
        for proposal in self._under_way:
            del self._waiting[proposal.name]
        parts = [each.part(self._keys, leases) for each in self._under_way]
        return Transaction(success=parts) if parts else None

    # Private

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
        """A proposal was not executed, because of the current value of its key."""
        name = proposal.name
        if there is not None and there.value == proposal.value:
            # It was executed, but without an answer.
            self.revision = max(self.revision, there.mod_revision)
            self._raise_basis(name, there.mod_revision)
        elif there is not None and not self._is_own(name, there):
            return self._drop(name, there.mod_revision)
        elif there is not None or proposal.value is not None:
            # An earlier write of this broker, or one that was deleted with its lease.
            again = self._waiting.get(name, proposal)
            basis = 0 if there is None else there.mod_revision
            self._waiting[name] = replace(again, basis=basis)
        return []

    def _drop(self, name: Name, revision: int) -> list[Overtaken]:
        """Another broker wrote the key at this revision."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis >= revision:
            return []  # that was known when this was decided
        self._waiting.pop(name, None)
        return [Overtaken(session_of(name))] if name.kind == "clients" else []

    def _raise_basis(self, name: Name, revision: int) -> None:
        """This broker wrote a key, so its later proposals build on that write."""
        waiting = self._waiting.get(name)
        if waiting is not None and waiting.basis < revision:
            self._waiting[name] = replace(waiting, basis=revision)

    def _is_own(self, name: Name, there: KeyValue) -> bool:
        if name.kind == "brokers":
            return True  # no other broker writes that
        try:
            record = decode(name, there.value)
        except ValueError:
            return False
        return isinstance(record, ClientRecord) and record.broker == self._broker

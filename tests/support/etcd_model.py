"""etcd as a list of writes: for tests of the cores, without a server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from pubsub_broker.registry.etcd.answers import (
    Event,
    Header,
    KeyValue,
    LeaseAnswer,
    Listing,
    OperationAnswer,
    RangeAnswer,
    TransactionAnswer,
    WatchAnswer,
    WriteAnswer,
)
from pubsub_broker.registry.etcd.errors import LeaseGone
from pubsub_broker.registry.etcd.records import Keys, Record, decode
from pubsub_broker.registry.etcd.requests import Operation, Put, Transaction

MAX_OPERATIONS = 128
MAX_REQUEST_BYTES = 1_500_000


@dataclasses.dataclass
class EtcdModel:
    """One cluster, which answers immediately and never lags."""

    cluster_id: str = "1"
    revision: int = 1
    compacted: int = 0
    kvs: dict[bytes, KeyValue] = dataclasses.field(default_factory=dict)
    log: list[tuple[int, list[Event]]] = dataclasses.field(default_factory=list)
    gone: set[int] = dataclasses.field(default_factory=set)  # leases
    leases: int = 100  # granted so far

    def write(
        self, changes: Iterable[tuple[bytes, bytes | None]], lease: int = 0
    ) -> None:
        """Put keys, or delete those without a value, at one revision."""
        self._apply((key, value, lease) for key, value in changes)

    def _apply(self, changes: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        revision = self.revision + 1
        events = []
        for key, value, lease in changes:
            if value is not None:
                kv = KeyValue(key, value, revision, 1, lease)
                self.kvs[key] = kv
                events.append(Event(kv))
            elif self.kvs.pop(key, None) is not None:
                events.append(Event(KeyValue(key, mod_revision=revision), "DELETE"))
        if events:
            self.revision = revision
            self.log.append((revision, events))

    def grant(self, seconds: int) -> LeaseAnswer:
        """Make a lease."""
        self.leases += 1
        return LeaseAnswer(self.leases, seconds)

    def keep_alive(self, leases: Iterable[int], seconds: int = 10) -> dict[int, int]:
        """Renew leases."""
        return {lease: 0 if lease in self.gone else seconds for lease in leases}

    def end_lease(self, lease: int) -> None:
        """The lease expires, and with it all its keys."""
        self.gone.add(lease)
        self.write([(key, None) for key, kv in self.kvs.items() if kv.lease == lease])

    def compact(self) -> None:
        """Drop the history."""
        self.compacted = self.revision
        self.log = [each for each in self.log if each[0] >= self.compacted]

    def listing(self) -> Listing:
        """All keys, sorted by name, like etcd's."""
        kvs = [self.kvs[key] for key in sorted(self.kvs)]
        return Listing(self.cluster_id, self.revision, kvs)

    def watch(self, start: int, behind: int = 0) -> list[WatchAnswer]:
        """The answers to a watch, one per revision; from a member that lags
        (``behind``) when it begins, if given."""
        header = Header(self.cluster_id, self.revision)
        created = WatchAnswer(
            Header(self.cluster_id, self.revision - behind), created=True
        )
        if start < self.compacted:
            told = Header(self.cluster_id, 0)
            return [
                created,
                WatchAnswer(told, canceled=True, compact_revision=self.compacted),
            ]
        later = [events for revision, events in self.log if revision >= start]
        return [created, *(WatchAnswer(header, events) for events in later)]

    def transact(self, request: Transaction) -> TransactionAnswer:
        """Execute a transaction of nested ones, in the form of the writer's."""
        assert not request.compare
        assert not request.failure
        self._check(request)
        changes: list[tuple[bytes, bytes | None, int]] = []
        answers = []
        for part in request.success:
            nested = part.request_txn
            assert nested is not None
            held = all(
                self._mod(compare.key) == compare.mod_revision
                for compare in nested.compare
            )
            answers.append((held, nested.success if held else nested.failure))
            for operation in nested.success if held else ():
                put, delete = operation.request_put, operation.request_delete_range
                if put is not None:
                    # If a part is not executed, etcd does not check its lease.
                    if put.lease in self.gone:
                        raise LeaseGone("requested lease not found")
                    changes.append((put.key, put.value, put.lease))
                elif delete is not None:
                    changes.append((delete.key, None, 0))
        self._apply(changes)
        return TransactionAnswer(
            Header(self.cluster_id, self.revision),
            True,
            [
                OperationAnswer(
                    response_txn=TransactionAnswer(
                        Header(), held, [self._answer(each) for each in done]
                    )
                )
                for held, done in answers
            ],
        )

    def _answer(self, operation: Operation) -> OperationAnswer:
        if operation.request_range is not None:
            kv = self.kvs.get(operation.request_range.key)
            kvs = [] if kv is None else [kv]
            return OperationAnswer(response_range=RangeAnswer(Header(), kvs))
        return OperationAnswer(response_put=WriteAnswer())

    def _mod(self, key: bytes) -> int:
        kv = self.kvs.get(key)
        return 0 if kv is None else kv.mod_revision

    def _check(self, request: Transaction) -> None:
        """Like etcd: limited size, no key twice."""
        assert 0 < len(request.success) < MAX_OPERATIONS
        keys: list[bytes] = []
        size = 0
        for put in _puts(request):
            keys.append(put.key)
            size += len(put.key) + len(put.value)
        assert len(keys) == len(set(keys))
        assert size < MAX_REQUEST_BYTES

    def records(self, keys: Keys) -> dict[bytes, tuple[int, Record]]:
        """All records, with the revisions of their last writes."""
        found = {}
        for key, kv in self.kvs.items():
            if name := keys.name(key):
                found[key] = kv.mod_revision, decode(name, kv.value)
        return found


def _puts(request: Transaction) -> Iterable[Put]:
    for operation in request.success:
        if operation.request_put is not None:
            yield operation.request_put
        if operation.request_txn is not None:
            yield from _puts(operation.request_txn)

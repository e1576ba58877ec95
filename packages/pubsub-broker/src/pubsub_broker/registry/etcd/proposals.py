"""A record that a broker wants to write, and the part of a transaction that writes it.

Each part has its own condition: the key is unchanged since the broker's decision. So a
part may be executed twice, or late, without harm. If the condition fails, the answer
has the current value instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from pubsub_broker.registry.etcd.answers import KeyValue, TransactionAnswer
from pubsub_broker.registry.etcd.errors import EtcdRefused
from pubsub_broker.registry.etcd.leases import Kind
from pubsub_broker.registry.etcd.records import Keys, Name
from pubsub_broker.registry.etcd.requests import (
    Delete,
    Operation,
    Put,
    Range,
    Transaction,
    mod_revision_is,
    operation,
)

# A key is in the condition, in the operation, and in the read if the condition fails.
_KEY_COPIES: Final = 3
_OVERHEAD: Final = 64


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Set a key to ``value`` with ``lease``; without a value, delete it and write
    ``left``, another key with its value.

    ``basis`` is the revision of the key's last write that the broker knows; 0: none.
    """

    name: Name
    value: bytes | None
    lease: Kind | None = None
    basis: int = 0
    left: tuple[Name, bytes] | None = None

    @property
    def key_count(self) -> int:
        """The number of keys that it writes."""
        return 1 if self.left is None else 2

    @property
    def changes_something(self) -> bool:
        """Whether its execution has an effect: deleting a missing key has none."""
        return self.value is not None or self.left is not None or self.basis > 0

    def size(self, keys: Keys) -> int:
        """Its approximate size in a transaction, in bytes."""
        total = len(self.value or b"") + _KEY_COPIES * len(keys.key(self.name))
        if self.left is not None:
            total += len(self.left[1]) + len(keys.key(self.left[0]))
        return total + _OVERHEAD

    def lease_kinds(self) -> set[Kind]:
        """The leases that it needs."""
        kinds: set[Kind] = set() if self.lease is None else {self.lease}
        return kinds if self.left is None else kinds | {"left"}

    def part(self, keys: Keys, leases: Mapping[Kind, int]) -> Operation:
        """Its part of a transaction."""
        key = keys.key(self.name)
        done: list[Put | Delete] = [Delete(key)]
        if self.value is not None:
            lease = 0 if self.lease is None else leases[self.lease]
            done = [Put(key, self.value, lease)]
        if self.left is not None:
            name, value = self.left
            done.append(Put(keys.key(name), value, leases["left"]))
        return operation(
            Transaction(
                compare=[mod_revision_is(key, self.basis)],
                success=[operation(each) for each in done],
                failure=[operation(Range(key))],
            )
        )


def outcomes(
    answer: TransactionAnswer, count: int
) -> list[tuple[bool, KeyValue | None]]:
    """For each of this many parts, whether it was executed, and otherwise the current
    value.

    Raises:
        EtcdRefused: the answer is not one to this kind of transaction.
    """
    found: list[tuple[bool, KeyValue | None]] = []
    for response in answer.responses:
        part = response.response_txn
        if part is None:
            break
        there = None
        if not part.succeeded and part.responses and part.responses[0].response_range:
            kvs = part.responses[0].response_range.kvs
            there = kvs[0] if kvs else None
        found.append((part.succeeded, there))
    if len(found) != count:
        raise EtcdRefused("the answer to a transaction has other parts")
    return found

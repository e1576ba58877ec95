"""The client of etcd: version 3 of its API, over the HTTP/JSON gateway.

It has no thread. One thread at a time uses a client; several clients share `Endpoints`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from pubsub_broker.registry.etcd.answers import (
    LeaseAnswer,
    Listing,
    RangeAnswer,
    TransactionAnswer,
    WriteAnswer,
    decode,
    decode_streamed,
)
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.requests import (
    Delete,
    Grant,
    LeaseRequest,
    Put,
    Range,
    Transaction,
    encode,
    prefix_end,
)
from pubsub_broker.registry.etcd.watch_stream import WatchStream, open_watch
from pubsub_broker.registry_options import Endpoint

_T = TypeVar("_T")

# Keys in a page of a list: 1,000 of 2 KiB are 3 MiB of JSON.
PAGE: Final = 1000


class EtcdClient:
    """Sends requests to etcd. Each method raises `EtcdError`, and no other error that
    etcd or the network causes. Idempotent requests are tried at each member."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def range(self, request: Range) -> RangeAnswer:
        """Read keys in one request."""
        return self._ask("/v3/kv/range", request, RangeAnswer)

    def list(self, prefix: bytes, page: int = PAGE) -> Listing:
        """All keys of a prefix at one revision, in requests of ``page`` keys.

        Raises:
            Compacted: that revision was compacted meanwhile.
        """
        end = prefix_end(prefix)
        answer = self.range(Range(prefix, end, page))
        header, kvs = answer.header, [*answer.kvs]
        while answer.more:
            after = kvs[-1].key + b"\0"
            answer = self.range(Range(after, end, page, header.revision))
            kvs += answer.kvs
        return Listing(header.cluster_id, header.revision, kvs)

    def put(self, request: Put) -> int:
        """Write a key; returns the revision."""
        return self._ask("/v3/kv/put", request, WriteAnswer).header.revision

    def delete(self, request: Delete) -> int:
        """Delete keys; returns their number."""
        return self._ask("/v3/kv/deleterange", request, WriteAnswer).deleted

    def transact(self, request: Transaction) -> TransactionAnswer:
        """Execute a transaction, at most once.

        Raises:
            EtcdUnreachable: there was no answer; ``maybe_done``: it may have been
                executed.
        """
        return self._ask("/v3/kv/txn", request, TransactionAnswer, repeat=False)

    def grant(self, ttl_s: int) -> LeaseAnswer:
        """Grant a lease. etcd extends it if it is shorter than 1.5 times its election
        timeout."""
        return self._ask("/v3/lease/grant", Grant(ttl_s), LeaseAnswer)

    def keep_alive(self, leases: Iterable[int]) -> dict[int, int]:
        """Renew leases in one request; returns the seconds of each, 0 for one that is
        gone."""
        body = b"".join(encode(LeaseRequest(lease)) for lease in leases)
        data = self._members.post("/v3/lease/keepalive", body)
        told = [decode_streamed(line, LeaseAnswer) for line in data.splitlines()]
        return {answer.ID: answer.TTL for answer in told}

    def revoke(self, lease: int) -> None:
        """End a lease; its keys are deleted.

        Raises:
            LeaseGone: it has ended before.
        """
        self._ask("/v3/lease/revoke", LeaseRequest(lease), WriteAnswer)

    def watch(self, prefix: bytes, revision: int) -> WatchStream:
        """Watch the keys of a prefix for changes, from ``revision`` on."""

        def attempt(endpoint: Endpoint, deadline: float) -> WatchStream:
            members = self._members
            return open_watch(
                endpoint, members.tls, members.token, prefix, revision, deadline
            )

        return self._members.ask(attempt)

    def close(self) -> None:
        """Close the connection."""
        self._members.close()

    def _ask(
        self,
        path: str,
        request: msgspec.Struct,
        answer: type[_T],
        *,
        repeat: bool = True,
    ) -> _T:
        return decode(self._members.post(path, encode(request), repeat=repeat), answer)

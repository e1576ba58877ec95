"""What a broker does with etcd, without the broker: two threads around the cores."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pubsub_broker.registry.etcd.changes import (
    Change,
    DeleteClient,
    PutClient,
    Restored,
)
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.endpoints import Endpoint, Endpoints
from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdUnreachable,
    LeaseGone,
)
from pubsub_broker.registry.etcd.leases import Leases
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.mirror import Mirror
from pubsub_broker.registry.etcd.records import (
    BrokerRecord,
    ClientRecord,
    Keys,
    Name,
    client_name,
)
from pubsub_broker.registry.etcd.writer import Writer
from pubsub_broker.registry.interface import Client
from support.threads import in_thread

_PAUSE_S = 0.05


def record(session: int, write: int, broker: str) -> ClientRecord:
    """A client."""
    client = Client(
        session=session,
        role="publisher",
        address=f"10.0.0.1:{session}",
        topics=(f"topic-{session}",),
        clock="realtime",
    )
    return ClientRecord(broker=broker, write=write, client=client)


class EtcdBroker:
    """One member of a group. ``changes`` are all that its mirror told."""

    def __init__(
        self,
        name: str,
        keys: Keys,
        endpoints: Sequence[Endpoint],
        *,
        alive_s: int = 3,
        clients_s: int = 15,
        **options: Any,
    ) -> None:
        """``options`` are those of `Members`."""
        self.name = name
        self.changes: list[Change] = []
        self.lists: list[str] = []  # why
        self.errors: list[Exception] = []
        self.mirror = Mirror(keys, hold_s=clients_s)
        self.leases = Leases(alive_s, clients_s)
        self._keys = keys
        self._endpoints = Endpoints(endpoints)
        self._writer = Writer(keys, name)
        self._wanted: dict[int, ClientRecord] = {}
        self._writes = 0
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._clients = [EtcdClient(Members(self._endpoints, **options)) for _ in "ww"]
        self._threads = [
            in_thread(lambda: self._run(self._follow, self._clients[0])),
            in_thread(lambda: self._run(self._write, self._clients[1])),
        ]

    def register(self, session: int) -> None:
        """A client registers at this broker."""
        with self._lock:
            self._writes += 1
            self._wanted[session] = record(session, self._writes, self.name)
            self._propose(session)

    def holders(self) -> dict[int, str]:
        """The broker of each client, as the mirror has it."""
        with self._lock:
            return {each.client.session: each.broker for each in self.mirror.clients()}

    def put_count(self) -> int:
        """How often clients were put, as the mirror told."""
        with self._lock:
            return sum(isinstance(change, PutClient) for change in self.changes)

    def deleted(self) -> list[int]:
        """The sessions of clients that went, as the mirror told."""
        with self._lock:
            return [
                change.record.client.session
                for change in self.changes
                if isinstance(change, DeleteClient)
            ]

    def brokers(self) -> set[str]:
        """The brokers that are alive, as the mirror has it."""
        with self._lock:
            return set(self.mirror.brokers())

    def cut_off(self) -> bool:
        """Whether the broker knows that others may take it for gone."""
        with self._lock:
            return self.leases.cut_off(time.monotonic())

    def close(self) -> None:
        """End the threads, as if the broker had been killed."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        for client in self._clients:
            client.close()
        assert self.errors == []

    # The threads

    def _run(self, turn: Any, client: EtcdClient) -> None:
        while not self._stop.is_set():
            try:
                turn(client)
            except EtcdUnreachable:
                self._stop.wait(_PAUSE_S)
            except Exception as error:
                self.errors.append(error)
                return

    def _follow(self, client: EtcdClient) -> None:
        """Watch until that is of no use any more."""
        prefix = self._keys.prefix
        if self.mirror.must_list:
            self.lists.append(self.mirror.must_list)
            try:
                listing = client.list(prefix)
            except Compacted:
                return
            with self._lock:
                self._take(self.mirror.listed(listing, time.monotonic()))
        with contextlib.closing(
            client.watch(prefix, self.mirror.next_revision)
        ) as watch:
            while not self._stop.is_set() and not self.mirror.must_list:
                # Whoever writes has found that this member does not answer.
                if watch.endpoint != self._endpoints.current:
                    return
                for answer in watch.read(_PAUSE_S):
                    with self._lock:
                        self._take(self.mirror.watched(answer))

    def _take(self, changes: list[Change]) -> None:
        self.changes += changes
        # Then who holds a client is what was so some time ago, and each writes its own anew.
        restored = any(isinstance(change, Restored) for change in changes)
        for change in changes:
            for overtaken in self._writer.observed(change):
                self._wanted.pop(int(overtaken.name.name, 16), None)
            match change:
                case PutClient(record=told) if (
                    told.broker != self.name and not restored
                ):
                    self._wanted.pop(told.client.session, None)
                case DeleteClient(record=told) if told.client.session in self._wanted:
                    self._propose(told.client.session)
        if restored:
            self._propose_all()

    def _write(self, client: EtcdClient) -> None:
        now = time.monotonic()
        with self._lock:
            grants = self.leases.to_grant(now, leaving=False)
            renewals = self.leases.to_renew(now)
        for kind, seconds in grants.items():
            sent_at = time.monotonic()
            answer = client.grant(seconds)
            with self._lock:
                self.leases.granted(kind, answer.ID, answer.TTL, sent_at)
                self._propose_all()
        if renewals:
            sent_at = time.monotonic()
            told = client.keep_alive(renewals)
            with self._lock:
                self.leases.renewed(told, sent_at)
        with self._lock:
            request = self._writer.transaction(self.leases.ids(time.monotonic()))
        if request is None:
            self._stop.wait(_PAUSE_S / 10)
            return
        try:
            written = client.transact(request)
        except (EtcdUnreachable, LeaseGone) as error:
            with self._lock:
                self._writer.unanswered()
                if isinstance(error, LeaseGone):
                    self.leases.forget("alive")
                    self.leases.forget("clients")
            return
        with self._lock:
            for overtaken in self._writer.answered(written):
                self._wanted.pop(int(overtaken.name.name, 16), None)

    def _propose(self, session: int) -> None:
        name = client_name(session)
        basis = self.mirror.written_at(name)
        self._writer.put(name, self._wanted[session], "clients", basis)

    def _propose_all(self) -> None:
        own = BrokerRecord(address="127.0.0.1:1", version="0")
        name = Name("brokers", self.name)
        self._writer.put(name, own, "alive", self.mirror.written_at(name))
        for session in self._wanted:
            self._propose(session)


@contextlib.contextmanager
def etcd_broker(
    name: str, keys: Keys, endpoints: Sequence[Endpoint], **options: Any
) -> Iterator[EtcdBroker]:
    """A member of a group; ended with the block."""
    with contextlib.closing(EtcdBroker(name, keys, endpoints, **options)) as broker:
        yield broker

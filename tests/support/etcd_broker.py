"""What a broker does with etcd, without the broker: two threads around the core."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pubsub_broker.registry.etcd.changes import Change, DeleteClient, PutClient
from pubsub_broker.registry.etcd.client import EtcdClient
from pubsub_broker.registry.etcd.endpoints import Endpoint, Endpoints
from pubsub_broker.registry.etcd.errors import (
    Compacted,
    EtcdUnreachable,
    LeaseGone,
)
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import About, BrokerRecord, Keys
from pubsub_broker.registry.etcd.writer import Overtaken
from pubsub_broker.registry.interface import Client
from support.threads import in_thread

_PAUSE_S = 0.05


def client_of(session: int) -> Client:
    """A client."""
    return Client(
        session=session,
        role="publisher",
        address=f"10.0.0.1:{session}",
        topics=(f"topic-{session}",),
        clock="realtime",
    )


class EtcdBroker:
    """One member of a group. ``told`` is all that its mirror told."""

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
        self.told: list[Change | Overtaken] = []
        self.lists: list[str] = []  # why
        self.errors: list[Exception] = []
        about = About(format=1, model="decentralized")
        own = BrokerRecord(address="127.0.0.1:1", version="0")
        self._group = Group(
            keys, name, about, own, alive_s=alive_s, clients_s=clients_s
        )
        self._prefix = keys.prefix
        self._endpoints = Endpoints(endpoints)
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._clients = [EtcdClient(Members(self._endpoints, **options)) for _ in "ww"]
        turns = zip((self._follow, self._write), self._clients, strict=True)
        self._threads = [in_thread(self._loop(*each)) for each in turns]

    def register(self, session: int) -> None:
        """A client registers at this broker."""
        with self._lock:
            self._group.put_client(client_of(session))

    def holders(self) -> dict[int, str]:
        """The broker of each client, as the mirror has it."""
        with self._lock:
            clients = self._group.mirror.clients()
            return {each.client.session: each.broker for each in clients}

    def puts(self) -> list[PutClient]:
        """The registrations that the mirror told."""
        with self._lock:
            return [change for change in self.told if isinstance(change, PutClient)]

    def deleted(self) -> list[int]:
        """The sessions of clients that went, as the mirror told."""
        with self._lock:
            gone = [change for change in self.told if isinstance(change, DeleteClient)]
        return [change.record.client.session for change in gone]

    def brokers(self) -> set[str]:
        """The brokers that are alive, as the mirror has it."""
        with self._lock:
            return set(self._group.mirror.brokers())

    def cut_off(self) -> bool:
        """Whether the broker knows that others may take it for gone."""
        with self._lock:
            return self._group.cut_off(time.monotonic())

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

    def _loop(
        self, turn: Callable[[EtcdClient], None], client: EtcdClient
    ) -> Callable[[], None]:
        def run() -> None:
            while not self._stop.is_set():
                try:
                    turn(client)
                except EtcdUnreachable:
                    self._stop.wait(_PAUSE_S)
                except Exception as error:
                    self.errors.append(error)
                    return

        return run

    def _follow(self, client: EtcdClient) -> None:
        """Watch until that is of no use any more."""
        mirror = self._group.mirror
        if mirror.must_list:
            self.lists.append(mirror.must_list)
            try:
                listing = client.list(self._prefix)
            except Compacted:
                return
            with self._lock:
                self.told += self._group.listed(listing, time.monotonic())
        watch = client.watch(self._prefix, mirror.next_revision)
        with contextlib.closing(watch):
            # Whoever writes finds that a member does not answer; then this one leaves it.
            while not self._stop.is_set() and watch.endpoint == self._endpoints.current:
                for answer in watch.read(_PAUSE_S):
                    with self._lock:
                        self.told += self._group.watched(answer)
                if mirror.must_list:
                    return

    def _write(self, client: EtcdClient) -> None:
        now = time.monotonic()
        with self._lock:
            self.told += self._group.tick(now)
            renewals, grants = self._group.to_renew(now), self._group.to_grant(now)
        if renewals:
            told = client.keep_alive(renewals)
            with self._lock:
                self._group.renewed(told, now)
        for kind, seconds in grants.items():
            sent_at = time.monotonic()
            granted = client.grant(seconds)
            with self._lock:
                self._group.granted(kind, granted, sent_at)
        with self._lock:
            request = self._group.to_write(time.monotonic())
        if request is None:
            self._stop.wait(_PAUSE_S / 10)
            return
        try:
            answer = client.transact(request)
        except EtcdUnreachable:
            with self._lock:
                self._group.unanswered()
        except LeaseGone:
            with self._lock:
                self._group.lease_gone()
        else:
            with self._lock:
                self.told += self._group.answered(answer)


@contextlib.contextmanager
def etcd_broker(
    name: str, keys: Keys, endpoints: Sequence[Endpoint], **options: Any
) -> Iterator[EtcdBroker]:
    """A member of a group; ended with the block."""
    with contextlib.closing(EtcdBroker(name, keys, endpoints, **options)) as broker:
        yield broker

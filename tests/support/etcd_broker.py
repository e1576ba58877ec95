"""A broker's part in a group on real servers of etcd, without the broker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pubsub_broker.registry.changes import (
    About,
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    DeleteClient,
    PutClient,
)
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.link import GroupLink
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.interface import Client
from pubsub_broker.registry_options import Endpoint

_CLOSE_S = 30.0


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
    """One member of a group, for one thread."""

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
        self._told: list[Change] = []
        group = Group(
            keys,
            name,
            About(format=1, model="decentralized"),
            BrokerRecord(address="127.0.0.1:1", version="0"),
            alive_s=alive_s,
            clients_s=clients_s,
        )
        shared = Endpoints(endpoints)
        self.told_something = threading.Event()
        self._link = GroupLink(
            group,
            keys,
            shared,
            lambda: Members(shared, **options),
            self.told_something.set,
        )
        self._link.begin()

    def register(self, session: int) -> None:
        """A client registers at this broker."""
        self._link.put_client(client_of(session))

    def told(self) -> list[Change]:
        """All changes from the mirror."""
        self._told += self._link.take_changes()
        return self._told

    def holders(self) -> dict[int, str]:
        """The broker of each client, as reported."""
        found: dict[int, str] = {}
        for change in self.told():
            match change:
                case PutClient(record=record):
                    found[record.client.session] = record.broker
                case DeleteClient(record=record):
                    del found[record.client.session]
        return found

    def puts(self) -> list[PutClient]:
        """The reported registrations."""
        return [change for change in self.told() if isinstance(change, PutClient)]

    def deleted(self) -> list[int]:
        """The reported departures, by session."""
        gone = [change for change in self.told() if isinstance(change, DeleteClient)]
        return [change.record.client.session for change in gone]

    def brokers(self) -> set[str]:
        """The reported live brokers."""
        found: set[str] = set()
        for change in self.told():
            match change:
                case BrokerCame(broker=broker):
                    found.add(broker)
                case BrokerWent(broker=broker):
                    found.remove(broker)
        return found

    def cut_off(self) -> bool:
        """Whether the broker knows that others may consider it dead."""
        return self._link.cut_off()

    def close(self) -> None:
        """End it normally."""
        self._link.close(_CLOSE_S)
        assert not any(thread.is_alive() for thread in self._link.threads())


@contextlib.contextmanager
def etcd_broker(
    name: str, keys: Keys, endpoints: Sequence[Endpoint], **options: Any
) -> Iterator[EtcdBroker]:
    """A member of a group; ended with the block."""
    with contextlib.closing(EtcdBroker(name, keys, endpoints, **options)) as broker:
        yield broker

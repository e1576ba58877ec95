"""The engines of a group, for tests that hold for all: one in memory, the code that
talks to etcd with a model of it, and the same with its threads and a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from pubsub_broker.registry.changes import (
    About,
    BrokerRecord,
    Change,
    LeftRecord,
)
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.group import Group
from pubsub_broker.registry.etcd.link import GroupLink
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.log import GroupLog, LogMember
from pubsub_broker.registry_options import Endpoint
from pubsub_common.testing import wait_for
from support.etcd_broker import client_of
from support.etcd_group import EtcdGroup, EtcdMember
from support.etcd_servers import EtcdCluster
from support.tcp_relay import TcpRelay, tcp_relay

ALIVE_S, CLIENTS_S = 3, 6
# In the time of an engine without a clock; a server has as much by a real one.
_DEADLINE_S = 60.0
_STEP_S = 0.25


class Place(Protocol):
    """One broker's part in a group."""

    name: str
    told: list[Change]

    def put(self, session: int) -> None: ...

    def delete(self, session: int, left: LeftRecord | None = None) -> None: ...

    def cut_off(self) -> bool: ...

    def cut(self) -> None:
        """Cut the link between engine and broker."""

    def heal(self) -> None: ...


class Engine(Protocol):
    """The store of one group."""

    def join(self, name: str) -> Place: ...

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let time pass until the condition holds."""


def record_of(name: str) -> BrokerRecord:
    """A broker's record."""
    return BrokerRecord(address=f"{name}:5555", version="0")


class SteppedPlace:
    """A place in an engine with a number as its time."""

    def __init__(self, engine: SteppedEngine, name: str) -> None:
        self.name = name
        self.told: list[Change] = []
        self._engine = engine
        self.member: LogMember | EtcdMember = engine.group.join(
            name, record_of(name), engine.now
        )

    def put(self, session: int) -> None:
        self.member.put_client(client_of(session))

    def delete(self, session: int, left: LeftRecord | None = None) -> None:
        self.member.delete_client(session, left)

    def cut_off(self) -> bool:
        return self.member.cut_off(self._engine.now)

    def cut(self) -> None:
        self.member.reachable = False

    def heal(self) -> None:
        self.member.reachable = True


class SteppedEngine:
    """An engine in memory."""

    def __init__(self, group: GroupLog | EtcdGroup) -> None:
        self.group = group
        self.now = 0.0
        self._places: list[SteppedPlace] = []

    def join(self, name: str) -> SteppedPlace:
        self._places.append(SteppedPlace(self, name))
        return self._places[-1]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = self.now + _DEADLINE_S
        while True:
            for place in self._places:
                place.member.turn(self.now)
                place.told += place.member.take_changes()
            if condition():
                return
            assert self.now < deadline, f"waited for: {what}"
            self.now += _STEP_S


class LinkedPlace:
    """A place with its threads, which reaches a server through a relay."""

    def __init__(
        self, keys: Keys, name: str, relay: TcpRelay, stack: contextlib.ExitStack
    ) -> None:
        self.name = name
        self.told: list[Change] = []
        self._relay = relay
        endpoints = Endpoints([Endpoint("127.0.0.1", relay.port)])
        self._link = GroupLink(
            Group(
                keys,
                name,
                About(format=1, model="decentralized"),
                record_of(name),
                alive_s=ALIVE_S,
                clients_s=CLIENTS_S,
            ),
            keys,
            endpoints,
            lambda: Members(endpoints, timeout_s=1.0),
        )
        stack.callback(self._link.close, 30.0)
        self._link.begin()

    def put(self, session: int) -> None:
        self._link.put_client(client_of(session))

    def delete(self, session: int, left: LeftRecord | None = None) -> None:
        self._link.delete_client(session, left)

    def take(self) -> None:
        self.told += self._link.take_changes()

    def cut_off(self) -> bool:
        return self._link.cut_off()

    def cut(self) -> None:
        self._relay.cut()

    def heal(self) -> None:
        self._relay.heal()


class LinkedEngine:
    """A server of etcd, with a group of its own for each test."""

    def __init__(
        self, cluster: EtcdCluster, group: str, stack: contextlib.ExitStack
    ) -> None:
        self._server = cluster.endpoints[0]
        self._keys = Keys(group)
        self._stack = stack
        self._places: list[LinkedPlace] = []

    def join(self, name: str) -> LinkedPlace:
        relay = self._stack.enter_context(
            tcp_relay((self._server.host, self._server.port))
        )
        place = LinkedPlace(self._keys, name, relay, self._stack)
        self._places.append(place)
        return place

    def until(self, condition: Callable[[], bool], what: str) -> None:
        def reached() -> bool:
            for place in self._places:
                place.take()
            return condition()

        wait_for(reached, what, _DEADLINE_S)

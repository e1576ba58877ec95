"""Measures what the registry of a group costs: joins, moves, idle clients, copies of the list."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import zmq

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Status, StatusRequest
from pubsub_perf.bench.group import etcd_figures
from pubsub_perf.bench.group.asking import ask, ask_hello
from pubsub_perf.bench.group.crowd_process import CrowdProcesses
from pubsub_perf.bench.group.light_client import LightClient, register_all
from pubsub_perf.bench.group.running_group import (
    GroupBroker,
    RunningGroup,
    running_group,
)

_WAIT_S: Final = 120.0
# All clients here come from one address.
_MANY: Final = (
    "--max-clients=19000",
    "--max-clients-per-address=19000",
    "--max-registrations-per-second=100000",
)
# Of one that waits for a processor no lease ends.
LEASE_S: Final = 60.0
_CROWD: Final = (*_MANY, f"--lease={LEASE_S:g}")
_CLIENTS_A_PROCESS: Final = 2_500
_MEMBERS: Final = 3
_TOPICS: Final = 100
_LAST: Final = "last"
# Nobody listens at the ports of publishers here, nor connects to them.
_PORTS: Final = 20_000
_QUIET_S: Final = 0.5
_QUIET_SHARE: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Start:
    """How long a broker takes until it serves, and its processor time until then."""

    seconds: float
    processor_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class MirrorCosts:
    """Of one client of another broker: memory and processor time of a broker, data in etcd.
    ``writes_per_s``: clients registered in a second. ``start``: of a broker when all are
    registered; ``empty_start``: when none is."""

    mirror_bytes: float
    etcd_bytes: float
    change_us: float
    writes_per_s: float
    start: Start
    empty_start: Start


@dataclasses.dataclass(frozen=True, slots=True)
class IdleCosts:
    """While no client connects or disconnects: how far etcd's revision moves, requests to etcd and
    processor time of a broker, each a second."""

    revisions: int
    requests_per_s: float
    processor_ms_per_s: float


@contextmanager
def _context(clients: int) -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, 2 * clients + 16)
        yield context


def _crowd(
    clients: int, ports: Sequence[int], lease_s: float = LEASE_S
) -> CrowdProcesses:
    """So many subscribers, each with one of 100 topics. A process has as many as it may have
    files for."""
    topics = [[f"T{number % _TOPICS}"] for number in range(clients)]
    processes = -(-clients // _CLIENTS_A_PROCESS)
    return CrowdProcesses(ports, topics, processes, "decentralized", lease_s)


def join_latencies_ms(joins: int) -> list[float]:
    """Publishers join at one broker, one after the other; how long after that the other
    broker tells a subscriber of its own."""
    found = []
    with running_group(2, members=_MEMBERS) as group, _context(8) as context:
        first, second = (broker.port for broker in group.brokers)
        subscriber = LightClient(context, "subscriber", defaults.LOOPBACK, ["A"])
        register_all([subscriber], [second])
        for number in range(joins):
            address = f"{defaults.LOOPBACK}:{_PORTS + number}"
            publisher = LightClient(context, "publisher", address, ["A"])
            subscriber.told.clear()
            began = time.monotonic()
            publisher.register(first)
            _wait_until_told(subscriber, joined=True)
            found.append((time.monotonic() - began) * 1000)
            register_all([publisher], [first])
            subscriber.told.clear()
            publisher.leave()
            _wait_until_told(subscriber, joined=False)
            publisher.close()
        subscriber.close()
    return found


def move_s(clients: int) -> float:
    """Clients of a broker that is killed register with the two others at once; the seconds
    until the last one is."""
    with running_group(3, _CROWD, members=_MEMBERS) as group:
        killed, *others = group.brokers
        with _crowd(clients, [killed.port]) as crowd:
            crowd.wait_until_registered(_WAIT_S)
            killed.kill()
            return crowd.move([broker.port for broker in others])


def idle(clients: int, seconds: float) -> IdleCosts:
    """Three brokers with clients that only renew their leases."""
    with running_group(3, _MANY, members=_MEMBERS) as group:
        ports = [broker.port for broker in group.brokers]
        with _crowd(clients, ports, defaults.LEASE_S) as crowd:
            crowd.wait_until_registered(_WAIT_S)
            time.sleep(defaults.LEASE_S)  # the work after the registrations has ended
            return _idle(group, seconds)


def _idle(group: RunningGroup, seconds: float) -> IdleCosts:
    assert group.etcd is not None
    members = group.etcd.members
    revision = etcd_figures.revision(members[0])
    served = sum(map(etcd_figures.requests_served, members))
    used = sum(broker.processor_ns() for broker in group.brokers)
    began = time.monotonic()
    time.sleep(seconds)
    span_s = time.monotonic() - began
    used = sum(broker.processor_ns() for broker in group.brokers) - used
    served = sum(map(etcd_figures.requests_served, members)) - served
    moved = etcd_figures.revision(members[0]) - revision
    brokers = len(group.brokers)
    return IdleCosts(moved, served / span_s / brokers, used / 1e6 / span_s / brokers)


def mirror(clients: int) -> MirrorCosts:
    """Clients register with one broker of two, and then a third one starts."""
    with running_group(2, _CROWD, members=_MEMBERS) as group:
        assert group.etcd is not None
        (member, *_) = group.etcd.members
        empty_start = _start(group)
        first, second, _ = group.brokers
        _wait_until_quiet(second)
        memory, used = second.memory_kib(), second.processor_ns()
        data = etcd_figures.data_bytes(member)
        with _crowd(clients, [first.port]) as crowd:
            crowd.wait_until_registered(_WAIT_S)
            took_s = crowd.counts().register_s
            _wait_until_heard(first.port, second.port)
            _wait_until_quiet(second)
            used = second.processor_ns() - used
            grown = second.memory_kib() - memory
            data = etcd_figures.data_bytes(member) - data
            if (known := clients_known(second.port)) < clients:
                raise PubSubError(f"a broker knows {known} of {clients} clients")
            return MirrorCosts(
                mirror_bytes=grown * 1024 / clients,
                etcd_bytes=data / clients,
                change_us=used / 1000 / clients,
                writes_per_s=clients / took_s,
                start=_start(group),
                empty_start=empty_start,
            )


def _wait_until_heard(first: int, second: int) -> None:
    """Wait until the second broker knows the earlier changes at the first one: all brokers get
    changes
    in one order, so a new publisher is the last."""
    with _context(2) as context:
        subscriber = LightClient(context, "subscriber", defaults.LOOPBACK, [_LAST])
        register_all([subscriber], [second])
        address = f"{defaults.LOOPBACK}:{_PORTS}"
        publisher = LightClient(context, "publisher", address, [_LAST])
        publisher.register(first)
        _wait_until_told(subscriber, joined=True)
        for client in (publisher, subscriber):
            client.leave()
            client.close()


def clients_known(port: int) -> int:
    """How many clients of the whole group the broker at ``port`` lists.

    Raises:
        PubSubError: it does not answer.
    """
    found, page = 0, 0
    while True:
        status = ask(port, StatusRequest(id=1, from_session=page), Status, _WAIT_S)
        found += len(status.clients)
        if status.next_session is None:
            return found
        page = status.next_session


def _wait_until_quiet(broker: GroupBroker) -> None:
    """Until it does no more than renew its leases."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        before = broker.processor_ns()
        time.sleep(_QUIET_S)
        if broker.processor_ns() - before < _QUIET_SHARE * _QUIET_S * 1e9:
            return


def _start(group: RunningGroup) -> Start:
    """Until one more broker serves, and is not cut off."""
    began = time.monotonic()
    broker = group.start()
    while ask_hello(broker.port, _WAIT_S).cut_off:
        if time.monotonic() - began > _WAIT_S:
            raise PubSubError("a broker does not reach etcd")
    return Start(time.monotonic() - began, broker.processor_ns() / 1e9)


def _wait_until_told(subscriber: LightClient, *, joined: bool) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not any(told.joined if joined else told.left for told in subscriber.told):
        if time.monotonic() > deadline:
            raise PubSubError("a subscriber is not told of a publisher")
        assert subscriber.control is not None
        subscriber.control.poll(100)
        subscriber.read_control()
        subscriber.renew()

"""Servers of etcd, or links to them, fail under load: registered clients stay
registered, events flow, and the brokers agree again afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from chaos_group import GroupBroker, GroupSystem
from support.etcd_servers import EtcdServer
from support.rings import full_size

from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher

from .conftest import LEASE_S, NewGroup, size, within
from .test_broker_faults import begin, end

# The duration of the outages, and the number of killed leaders.
OUTAGE_S = size(6, 60)
KILLED = size(1, 10)


@contextlib.contextmanager
def joined(system: GroupSystem, broker: GroupBroker) -> Iterator[float]:
    """A publisher without subscribers registers; returns the time that this took."""
    began_s = time.monotonic()
    publisher = Publisher(
        str(broker), ["nobody/listens"], bind_port=0, connect_timeout_s=60.0
    )
    try:
        publisher.configure()
        yield time.monotonic() - began_s
    finally:
        publisher.disconnect()


def kill(server: EtcdServer) -> None:
    """Kill it, and check that it is gone."""
    server.kill()
    assert not server.answers()


def test_the_leader_is_killed_while_clients_come_and_go(new_group: NewGroup) -> None:
    system = new_group(subscribers=size(3, 12))
    assert system.etcd is not None
    begin(system)
    longest_s = 0.0
    for number in range(KILLED):
        leader = system.etcd.leader()
        kill(leader)
        for broker in system.group:
            with joined(system, broker) as took_s:
                longest_s = max(longest_s, took_s)
        leader.start()
        wait_for(leader.answers, f"{leader.name} is back")
        system.wait_agree(within_s=within(1.0))
        if full_size() and number + 1 < KILLED:
            system.run_for(17)
    assert longest_s <= within(3.0)
    end(system)


def cut_off(broker: GroupBroker) -> bool:
    """Whether it reports that it cannot reach etcd."""
    registry = broker.status().registry
    return registry is not None and registry.cut_off


def test_all_servers_are_killed(new_group: NewGroup) -> None:
    system = new_group(subscribers=size(3, 12))
    assert system.etcd is not None
    begin(system)

    for server in system.etcd.servers:
        server.kill()
    system.wait_for(lambda: all(map(cut_off, system.group)), "all brokers are cut off")
    # New clients are served by their broker.
    here = system.known([system.group[0]])
    subscriber = system.start_subscriber("sub-new", broker=here)
    publisher = system.start_publisher("pub-new", broker=here, wait_for=0)
    system.wait_for(
        lambda: (
            publisher.log.session >= 0
            and subscriber.log.last((publisher.log.session, "A")) >= 0
        ),
        "new clients hear of each other",
    )
    leaver = system.living_publishers()[-2]
    leaver.process.end()
    system.run_for(OUTAGE_S)
    assert system.left_in_error() == []
    for server in system.etcd.servers:
        server.start()

    system.wait_flowing()
    system.wait_agree(within_s=within(5.0))
    end(system)


def test_one_broker_is_cut_off(new_group: NewGroup) -> None:
    system = new_group(subscribers=size(3, 12))
    begin(system)
    victim = system.group[0]
    assert system.clients_of(victim, seen_by=system.group[1])

    victim.cut_off()
    system.wait_left(victim, within(LEASE_S + 2))
    assert cut_off(victim)
    system.wait_flowing()
    system.run_for(OUTAGE_S)
    victim.heal()

    system.wait_agree(within_s=within(5.0))
    wait_for(lambda: not cut_off(victim), "it knows", within(5.0))
    end(system)

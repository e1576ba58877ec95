"""Members of a group while servers of etcd fail: nothing is lost, repeated or out of
order, and no live client or broker is considered dead."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.etcd_broker import EtcdBroker, etcd_broker
from support.etcd_servers import (
    EtcdCluster,
    EtcdServer,
    etcd_client,
    etcd_cluster,
    make_users,
)
from support.tcp_relay import tcp_relay

from pubsub_broker.registry.changes import Restored
from pubsub_broker.registry.etcd import requests
from pubsub_broker.registry.etcd.credentials import Login
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry.etcd.members import Members
from pubsub_broker.registry.etcd.records import Keys
from pubsub_broker.registry.etcd.requests import Range
from pubsub_broker.registry_options import Endpoint
from pubsub_common.testing import wait_for

LAB = Keys("lab")
WAIT_S = 60.0


@pytest.fixture
def three(tmp_path: Path) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path, 3) as cluster:
        yield cluster


def follower_of(cluster: EtcdCluster) -> EtcdServer:
    return next(server for server in cluster.servers if not server.leads())


def beginning_at(cluster: EtcdCluster, first: EtcdServer) -> list[Endpoint]:
    """All members, in the order in which a broker asks them."""
    others = [each for each in cluster.endpoints if each != first.endpoint]
    return [first.endpoint, *others]


def all_agree(count: int, *brokers: EtcdBroker) -> None:
    """Wait until each has this many clients, without repeated changes."""
    for broker in brokers:
        wait_for(
            lambda broker=broker: len(broker.holders()) == count,  # type: ignore[misc]
            f"{broker.name} has {count} clients",
            WAIT_S,
        )
    for broker in brokers:
        puts = broker.puts()
        revisions = [change.revision for change in puts]
        assert revisions == sorted(revisions)
        writes = [(put.record.broker, put.record.write) for put in puts]
        assert len(writes) == len(set(writes)), "a repeated change"
        assert broker.deleted() == []


def write_across(
    writing: EtcdBroker, watching: EtcdBroker, fault: object, count: int = 150
) -> None:
    """Register clients one after the other, with a fault in between."""
    assert callable(fault)
    for session in range(count):
        writing.register(session)
        if session == count // 3:
            all_agree(session + 1, watching)
            fault()
        time.sleep(0.005)  # or all would be one transaction
    all_agree(count, writing, watching)


def test_the_leader_is_killed_while_clients_register(three: EtcdCluster) -> None:
    leader = three.leader()
    endpoints = beginning_at(three, leader)
    with (
        etcd_broker("b1", LAB, endpoints, alive_s=6) as one,
        etcd_broker("b2", LAB, endpoints, alive_s=6) as two,
    ):
        write_across(one, two, leader.kill)
        wait_for(lambda: one.brokers() == two.brokers() == {"b1", "b2"})


def test_the_follower_that_is_asked_is_killed(three: EtcdCluster) -> None:
    follower = follower_of(three)
    endpoints = beginning_at(three, follower)
    with (
        etcd_broker("b1", LAB, endpoints) as one,
        etcd_broker("b2", LAB, endpoints) as two,
    ):
        write_across(one, two, follower.kill)


def test_the_member_that_is_asked_hangs(three: EtcdCluster) -> None:
    follower = follower_of(three)
    endpoints = beginning_at(three, follower)
    with (
        etcd_broker("b1", LAB, three.endpoints) as one,
        etcd_broker("b2", LAB, endpoints, timeout_s=1.5) as two,
    ):
        write_across(one, two, follower.freeze)
        # The keep-alives of the member that only watches detected it.
        assert not two.cut_off()
        follower.thaw()


def test_the_leader_hangs(three: EtcdCluster) -> None:
    leader = three.leader()
    endpoints = beginning_at(three, leader)
    with (
        etcd_broker("b1", LAB, endpoints, alive_s=9, timeout_s=3.0) as one,
        etcd_broker("b2", LAB, endpoints, alive_s=9, timeout_s=3.0) as two,
    ):
        write_across(one, two, leader.freeze)
        leader.thaw()


def test_all_servers_are_killed_and_nobody_is_gone_when_they_are_back(
    three: EtcdCluster,
) -> None:
    with (
        etcd_broker("b1", LAB, three.endpoints, timeout_s=1.5) as one,
        etcd_broker("b2", LAB, three.endpoints, timeout_s=1.5) as two,
    ):
        for session in range(50):
            one.register(session)
        all_agree(50, one, two)
        for server in three.servers:
            server.kill()
        wait_for(lambda: one.cut_off() and two.cut_off(), timeout_s=WAIT_S)
        one.register(50)  # written later
        three.start()
        all_agree(51, one, two)
        wait_for(lambda: not one.cut_off() and not two.cut_off(), timeout_s=WAIT_S)
        wait_for(lambda: two.brokers() == {"b1", "b2"}, timeout_s=WAIT_S)


def test_a_broker_dies_and_its_clients_stay_until_they_have_moved(
    three: EtcdCluster,
) -> None:
    with (
        etcd_broker("b1", LAB, three.endpoints, clients_s=8) as one,
        etcd_broker("b2", LAB, three.endpoints, clients_s=8) as two,
    ):
        for session in range(40):
            one.register(session)
        all_agree(40, one, two)
        one.close()
        wait_for(lambda: two.brokers() == {"b2"}, timeout_s=WAIT_S)
        assert two.deleted() == []
        for session in range(30):
            two.register(session)
        wait_for(lambda: len(two.holders()) == 30, timeout_s=WAIT_S)
        assert sorted(two.deleted()) == list(range(30, 40))
        assert set(two.holders().values()) == {"b2"}


def test_history_is_compacted_while_a_broker_is_cut_off(
    three: EtcdCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with tcp_relay(three.endpoints[0]) as relay:
        cut = [Endpoint("127.0.0.1", relay.port)]
        with (
            etcd_broker("b1", LAB, three.endpoints) as one,
            etcd_broker("b2", LAB, cut, timeout_s=0.5) as two,
        ):
            for session in range(20):
                one.register(session)
            all_agree(20, one, two)
            relay.cut()
            wait_for(two.cut_off, timeout_s=WAIT_S)
            for session in range(20, 40):
                one.register(session)
                all_agree(session + 1, one)  # one revision each
            # For the member that is asked next: others compact a little later.
            with etcd_client(three.endpoints[:1]) as client:
                last = client.range(Range(b"x")).header.revision
                body = requests.encode({"revision": last, "physical": True})
                client._members.post("/v3/kv/compaction", body)
            relay.reset()
            relay.heal()
            all_agree(40, two)
            (line,) = [
                text
                for text in caplog.messages
                if "reading all clients from etcd again" in text
            ]
            assert "compacted" in line


def test_a_broker_that_was_cut_off_writes_its_clients_anew(three: EtcdCluster) -> None:
    with tcp_relay(three.endpoints[0]) as relay:
        cut = [Endpoint("127.0.0.1", relay.port)]
        with (
            etcd_broker("b1", LAB, three.endpoints, clients_s=5) as one,
            etcd_broker("b2", LAB, cut, clients_s=5, timeout_s=0.5) as two,
        ):
            for session in range(20):
                two.register(session)
            all_agree(20, one, two)
            relay.cut()
            # Detected by its own clock no later than by others.
            wait_for(lambda: one.brokers() == {"b1"}, timeout_s=WAIT_S)
            assert two.cut_off()
            for session in range(5):
                one.register(session)  # moved
            two.register(20)
            wait_for(lambda: len(one.holders()) == 5, timeout_s=WAIT_S)
            relay.heal()
            expected = {session: "b1" if session < 5 else "b2" for session in range(21)}
            for broker in (one, two):
                wait_for(
                    lambda broker=broker: broker.holders() == expected,  # type: ignore[misc]
                    timeout_s=WAIT_S,
                )
            wait_for(lambda: one.brokers() == {"b1", "b2"}, timeout_s=WAIT_S)
            assert not two.cut_off()


def test_members_fail_where_there_are_users(three: EtcdCluster) -> None:
    with contextlib.closing(Members(Endpoints(three.endpoints))) as members:
        make_users(members, {"lab": "s3cret"}, LAB.prefix)
    follower = follower_of(three)
    endpoints = beginning_at(three, follower)
    with (
        etcd_broker("b1", LAB, endpoints, login=lambda: Login("lab", "s3cret")) as one,
        etcd_broker("b2", LAB, endpoints, login=lambda: Login("lab", "s3cret")) as two,
    ):
        write_across(one, two, follower.kill)


def test_an_old_backup_is_restored(tmp_path: Path) -> None:
    with (
        etcd_cluster(tmp_path) as single,
        etcd_broker("b1", LAB, single.endpoints, timeout_s=1.5) as one,
        etcd_broker("b2", LAB, single.endpoints, timeout_s=1.5) as two,
    ):
        (server,) = single.servers
        data = tmp_path / server.name
        for session in range(10):
            one.register(session)
        all_agree(10, one, two)
        server.kill()
        shutil.copytree(data, tmp_path / "backup")
        single.start()
        for session in range(10, 200):
            one.register(session)
            all_agree(session + 1, one, two) if not session % 10 else None
        all_agree(200, one, two)
        server.kill()
        shutil.rmtree(data)
        (tmp_path / "backup").rename(data)
        single.start()
        for broker in (one, two):
            wait_for(
                lambda broker=broker: any(  # type: ignore[misc]
                    isinstance(change, Restored) for change in broker.told()
                ),
                timeout_s=WAIT_S,
            )
        with etcd_client(single.endpoints) as client:
            wait_for(
                lambda: len(client.list(LAB.prefix + b"clients/").kvs) == 200,
                timeout_s=WAIT_S,
            )
        # No client was considered dead meanwhile.
        assert one.deleted() == two.deleted() == []
        assert len(one.holders()) == len(two.holders()) == 200

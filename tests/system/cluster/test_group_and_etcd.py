"""The requests of a group's brokers to etcd, and their behavior when it does not
answer, or has lost data."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.etcd_servers import EtcdCluster, EtcdServer, etcd_client, etcd_cluster
from support.group_brokers import (
    START_S,
    IdleClients,
    Start,
    agree,
    exchange,
    is_cut_off,
    publisher_at,
    started_brokers,
)
from support.rings import full_size
from support.tcp_relay import tcp_relay

from pubsub_broker.registry.etcd import requests
from pubsub_broker.registry.etcd.requests import Range
from pubsub_broker.registry_options import Endpoint
from pubsub_common.testing import wait_for


@pytest.fixture
def three(tmp_path: Path) -> Iterator[EtcdCluster]:
    with etcd_cluster(tmp_path, 3) as cluster:
        yield cluster


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts brokers of a group, which end with the test."""
    with started_brokers() as begin:
        yield begin


def revision_of(cluster: EtcdCluster) -> int:
    with etcd_client(cluster.endpoints) as client:
        return client.range(Range(b"x")).header.revision


def requests_at(server: EtcdServer) -> int:
    """The number of requests of clients."""
    connection = http.client.HTTPConnection(*server.endpoint, timeout=START_S)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    found = re.findall(r"^grpc_server_started_total\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(int(float(each)) for each in found)


def test_idle_clients_cost_etcd_nothing(three: EtcdCluster, start: Start) -> None:
    count, seconds = (1000, 60.0) if full_size() else (60, 8.0)
    brokers = [start(three.endpoints) for _ in range(3)]
    ports = [broker.port for broker in brokers]
    with contextlib.closing(IdleClients(ports, count)) as clients:
        agree(count, *brokers)
        before, asked = revision_of(three), sum(map(requests_at, three.servers))
        began = time.monotonic()
        clients.idle(seconds)
        asked = sum(map(requests_at, three.servers)) - asked
        # Including one request of this test.
        assert asked <= 1 + 2 * len(brokers) * (time.monotonic() - began)
        assert revision_of(three) == before
        assert not any(map(is_cut_off, brokers))


def test_history_is_compacted_while_a_broker_is_cut_off(
    three: EtcdCluster, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with tcp_relay(three.endpoints[0]) as relay, contextlib.ExitStack() as stack:
        one = start(three.endpoints)
        two = start([Endpoint("127.0.0.1", relay.port)])
        for broker in (one, two):
            stack.enter_context(publisher_at(broker))
        agree(2, one, two)
        caplog.set_level(logging.INFO)
        relay.cut()
        wait_for(lambda: is_cut_off(two), timeout_s=START_S)
        for number in range(10):
            stack.enter_context(publisher_at(one))
            agree(3 + number, one)
        with etcd_client(three.endpoints[:1]) as client:
            last = client.range(Range(b"x")).header.revision
            body = requests.encode({"revision": last, "physical": True})
            client._members.post("/v3/kv/compaction", body)
        relay.reset()
        relay.heal()
        agree(12, one, two)
        wait_for(lambda: not is_cut_off(two), timeout_s=START_S)

        def said(text: str) -> list[str]:
            return [line for line in caplog.messages if text in line]

        [line] = said("reading all clients from etcd again")
        assert "compacted" in line
        assert len(said("cut off from etcd")) == len(said("etcd answers again")) == 1
        exchange(one, two)


def test_a_member_that_hangs_is_named(
    tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with etcd_cluster(tmp_path) as cluster:
        (server,) = cluster.servers
        broker = start(cluster.endpoints)
        server.freeze()
        wait_for(lambda: is_cut_off(broker), timeout_s=START_S)
        [line] = [each for each in caplog.messages if "cut off from etcd" in each]
        assert str(server.endpoint) in line
        server.thaw()
        wait_for(lambda: not is_cut_off(broker), timeout_s=START_S)

"""The choice of etcd's members."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest
from support.ipv6 import needs_ipv6

from pubsub_broker.registry.etcd.connection import connect
from pubsub_broker.registry.etcd.endpoints import Endpoints
from pubsub_broker.registry_options import Endpoint, parse_registry
from pubsub_common.errors import ConfigError


def test_a_registry_names_its_members() -> None:
    assert parse_registry("etcd://10.0.0.1,10.0.0.2:4000,etcd-3.lab") == (
        Endpoint("10.0.0.1", 2379),
        Endpoint("10.0.0.2", 4000),
        Endpoint("etcd-3.lab", 2379),
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "etcd://", "10.0.0.1:2379", "https://10.0.0.1", "etcd://10.0.0.1/lab"),
        *("etcd://10.0.0.1,", "etcd://10.0.0.1:0", "etcd://10.0.0.1,10.0.0.1:2379"),
    ],
)
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_registry(text)


def test_the_next_one_is_asked_after_a_failure_of_the_one_that_is_asked() -> None:
    one, two, three = (Endpoint("10.0.0.1", port) for port in (1, 2, 3))
    endpoints = Endpoints([one, two, three])
    assert endpoints.current == one
    endpoints.failed(one)
    endpoints.failed(one)  # another thread detected it, too
    assert endpoints.current == two
    endpoints.failed(two)
    endpoints.failed(three)
    assert endpoints.current == one


def test_without_a_registry_nothing_of_it_is_loaded() -> None:
    look = (
        "import sys, pubsub_broker.cli; from pubsub_broker import Broker\n"
        "with Broker(port=0) as broker: broker.parse_events(0)\n"
        "print([name for name in sys.modules if 'etcd' in name or name in "
        "('ssl', 'http.client', 'pubsub_broker.group_member')])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True)
    assert done.stdout.split() == [b"[]"]


@needs_ipv6
def test_a_member_of_etcd_may_have_an_ipv6_address() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        (member,) = parse_registry(f"etcd://[::1]:{server.getsockname()[1]}")
        connect(member, None, time.monotonic() + 30).close()

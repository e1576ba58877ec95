"""The address at which a publisher listens, and the one that it advertises."""

from __future__ import annotations

import socket

import pytest
from support.fake_broker import FakeBroker
from support.ipv6 import needs_ipv6
from support.ports import free_port

from pubsub_common.errors import CannotListen, ConfigError
from pubsub_common.net.addresses import family_of
from pubsub_common.protocol.endpoints import bare
from pubsub_publisher import Publisher
from pubsub_publisher.cli import PROGRAM, USAGE, config_of
from pubsub_publisher.config import PublisherConfig


def reaches(host: str, port: int) -> bool:
    with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
        probe.settimeout(30)
        return probe.connect_ex((bare(host), port)) == 0


@pytest.mark.parametrize(
    ("bind", "hosts"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.3"]),
        pytest.param("::", ["127.0.0.1", "[::1]"], marks=needs_ipv6),
        ("localhost", ["127.0.0.1"]),
    ],
)
def test_a_publisher_may_listen_elsewhere(
    broker: FakeBroker, bind: str, hosts: list[str]
) -> None:
    with Publisher(
        "127.0.0.1",
        ["A"],
        broker_port=broker.port,
        bind_port=0,
        bind=bind,
        attach_timeout_s=0,
    ) as publisher:
        assert publisher.address == f"127.0.0.1:{publisher.bind_port}"
        assert all(reaches(host, publisher.bind_port) for host in hosts)


def test_others_are_told_the_one_address_at_which_it_listens(
    broker: FakeBroker,
) -> None:
    with Publisher(
        "127.0.0.1", ["A"], broker_port=broker.port, bind_port=0, bind="127.0.0.3"
    ) as publisher:
        assert publisher.address == f"127.0.0.3:{publisher.bind_port}"
        assert reaches("127.0.0.3", publisher.bind_port)


def test_others_are_told_the_port_that_leads_to_ours(broker: FakeBroker) -> None:
    with Publisher(
        "127.0.0.1",
        ["A"],
        broker_port=broker.port,
        bind_port=(port := free_port()),
        bind="0.0.0.0",
        address="192.0.2.1:7000",
        attach_timeout_s=0,
    ) as publisher:
        assert (publisher.address, publisher.bind_port) == ("192.0.2.1:7000", port)
        # The next port is not what leads here.
        other = Publisher(
            "127.0.0.1",
            ["A"],
            broker_port=broker.port,
            bind_port=port,
            bind="0.0.0.0",
            address="192.0.2.1:7000",
        )
        with pytest.raises(CannotListen, match=f"port {port} is in use on 0"):
            other.configure()


def test_an_address_of_elsewhere_needs_another_to_listen_at() -> None:
    publisher = Publisher("127.0.0.1", ["A"], address="192.0.2.1", bind_port=0)
    with pytest.raises(CannotListen, match=r"another address: --bind 0\.0\.0\.0"):
        publisher.configure()


@pytest.mark.parametrize(
    "options",
    [
        {"bind": "10.0.0.1:80"},
        {"bind": "224.0.0.1"},
        {"address": "0.0.0.0"},
        {"address": "10.0.0.1:80", "bind_port": 0},
    ],
)
def test_addresses_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        PublisherConfig(topics=["A"], **options).validate()  # type: ignore[arg-type]


def test_the_options_say_the_same() -> None:
    from pubsub_common.cli import console_script

    words = ["-t", "A", "--bind", "::", "--address", "Pub.Example:7000"]
    config = config_of(console_script.parse(USAGE, words, PROGRAM, "1"))

    assert (config.listen_host, config.host) == ("[::]", "pub.example")
    assert config.advertised_port == 7000

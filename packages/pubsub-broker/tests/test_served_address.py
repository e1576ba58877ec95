"""The addresses at which a broker listens, forwards events, and is advertised."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.ipv6 import needs_ipv6
from support.ports import free_port

from pubsub_broker import Broker
from pubsub_broker.config import BrokerConfig
from pubsub_broker.forwarding.clear_ports import bind_next
from pubsub_broker.served_address import ServedAddress, served_address
from pubsub_common.errors import CannotListen, ConfigError, PubSubError
from pubsub_common.testing.background import running_broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

IN_A_GROUP: dict[str, Any] = {"registry": "etcd://10.0.0.1", "group": "lab"}


def served(host: str, **options: Any) -> ServedAddress:
    found = served_address(BrokerConfig(**options), host, 5555)
    found.forwarding = lambda: [6000]
    return found


def test_others_are_told_what_is_advertised() -> None:
    assert served("10.0.0.1").told == "10.0.0.1:5555"
    assert served("0.0.0.0").told == "127.0.0.1:5555"
    assert served("0.0.0.0", advertise="nat.example").told == "nat.example:5555"
    assert served("[::]", advertise="[2001:db8::1]:80").told == "[2001:db8::1]:80"


def test_a_broker_knows_its_own_ports() -> None:
    one = served("127.0.0.2", advertise="nat.example:80")
    for own in (
        "127.0.0.2:5555",
        "127.0.0.2:6000",
        "nat.example:80",
        "nat.example:6000",
    ):
        assert one.is_own(own)
    for other in (
        "127.0.0.3:5555",
        "127.0.0.2:80",
        "nat.example:5555",
        "10.9.9.9:6000",
    ):
        assert not one.is_own(other)

    every = served("0.0.0.0")
    assert every.is_own("127.0.0.7:5555")
    assert every.is_own("127.0.0.1:6000")
    assert not every.is_own("127.0.0.1:6001")
    assert not every.is_own("192.0.2.1:5555")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"advertise": "0.0.0.0"}, "not the address of one host"),
        ({"bind": "0.0.0.0", **IN_A_GROUP}, "advertise is needed"),
        ({"forward_port": "x"}, "forward_port must be a port or a range"),
        (
            {"forward_port": 6000, "forwarders": 2},
            "a port for each of the 2 forwarders",
        ),
        ({"forward_port": "5550-5560"}, "forward_port must not have the control port"),
    ],
)
def test_addresses_that_cannot_work_are_refused(
    options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        BrokerConfig(**options).validate()
    BrokerConfig(bind="::", advertise="10.0.0.1", **IN_A_GROUP).validate()


class TakenPorts:
    def __init__(self, *taken: int) -> None:
        self.taken = taken

    def bind(self, host: str, port: int) -> None:
        import zmq

        if port in self.taken:
            raise zmq.ZMQError(zmq.EADDRINUSE)


def test_a_forwarder_takes_the_next_free_port() -> None:
    ports = iter(range(6000, 6004))
    listener = TakenPorts(6000, 6002)

    assert [bind_next(listener, "h", ports) for _ in "ab"] == [6001, 6003]
    with pytest.raises(CannotListen, match="no free port on h to forward events from"):
        bind_next(listener, "h", ports)
    with pytest.raises(CannotListen, match=r"\(6000\)"):
        bind_next(listener, "h", iter([6000]))


def test_events_are_forwarded_from_the_ports_that_are_named() -> None:
    with Broker(True, True, port=0, forward_port=free_port()) as broker:
        (port,) = broker.update_send_socket()
        with pytest.raises(CannotListen, match=f"no free port .*{port}"):
            Broker(True, True, port=0, forward_port=port).configure()
        with Broker(
            True, True, port=0, forward_port=f"{port}-{port + 20}", forwarders=2
        ) as other:
            first, second = other.update_send_socket()
    assert port < first < second <= port + 20


def test_a_name_of_this_host_can_be_served() -> None:
    with Broker(bind="localhost", port=0) as broker:
        assert broker.address == "127.0.0.1"
    assert Broker(bind="localhost").get_host_address() == "127.0.0.1"
    with pytest.raises(PubSubError, match="no IP address is known of 'no"):
        Broker(bind="no.such.invalid", port=0).configure()


@pytest.mark.parametrize("centralized", [True, False])
@pytest.mark.parametrize("bind", ["0.0.0.0", pytest.param("::", marks=needs_ipv6)])
def test_all_addresses_are_served(
    centralized: bool, bind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hosts = ["127.0.0.1", "127.0.0.2", *(["[::1]"] if bind == "::" else [])]
    broker = Broker(centralized, indefinite=True, bind=bind, port=0)
    with running_broker(broker):
        assert broker.address == "127.0.0.1"
        for host in hosts:
            port = broker.port
            with (
                Subscriber(
                    broker_address=host, topics=["A"], broker_port=port
                ) as listener,
                Publisher(
                    "127.0.0.1", ["A"], broker_port=port, bind_port=0
                ) as publisher,
            ):
                publisher.wait_for_subscribers(1, 30)
                publisher.publish_event("A", host)
                event = listener.receive(30)
                assert event is not None
                assert event.payload == host.encode()
    assert (
        f"every client that reaches {'[::]' if bind == '::' else bind}:" in caplog.text
    )


def test_what_is_advertised_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Broker(bind="127.0.0.1", port=0, advertise="nat.example:7000"):
        pass
    assert "advertised as nat.example:7000" in caplog.text

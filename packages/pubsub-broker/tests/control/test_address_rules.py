"""The addresses that clients may name."""

from __future__ import annotations

import pytest

from pubsub_broker.control.address_rules import AddressRules
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.errors import Refusal
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.protocol.messages import Register, Role
from pubsub_common.protocol.versions import VERSIONS

OWN = "10.0.0.1:5555"
LOCAL = ("10.0.0.1", "192.168.7.1", "127.0.0.1", "127.0.0.2", "[::1]", "[2001:db8::1]")


def registration(address: str, role: Role = "publisher") -> Register:
    return Register(
        id=1,
        versions=VERSIONS,
        role=role,
        topics=["A"],
        address=address,
        clock="realtime",
    )


def rules(*, allow_foreign: bool = False) -> AddressRules:
    return AddressRules(OWN.__eq__, LOCAL.__contains__, allow_foreign)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("10.0.0.2:1000", "10.0.0.2"),
        ("10.0.0.2:1000", None),
        ("10.0.0.1:1000", "127.0.0.1"),
        ("127.0.0.2:1000", "127.0.0.1"),
        ("192.168.7.1:1000", "10.0.0.1"),
        ("[2001:db8::2]:1000", "[2001:db8::2]"),
        ("[2001:db8::1]:1000", "[::1]"),
    ],
)
def test_a_client_names_where_it_comes_from(address: str, origin: str | None) -> None:
    rules().check(registration(address), origin)
    rules().check(registration(host_of(address), "subscriber"), origin)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("10.0.0.3:1000", "10.0.0.2"),
        ("127.0.0.1:1000", "10.0.0.2"),
        ("10.0.0.1:1000", "10.0.0.2"),
        ("10.0.0.3:22", "127.0.0.1"),
        ("[2001:db8::3]:1000", "[2001:db8::2]"),
        ("[::1]:1000", "[2001:db8::2]"),
    ],
)
def test_a_publisher_names_no_other_host(address: str, origin: str) -> None:
    with pytest.raises(Refusal, match="--allow-foreign-addresses") as refusal:
        rules().check(registration(address), origin)
    assert refusal.value.code == messages.BAD_ADDRESS
    host = host_of(address)
    assert f"names {host}, but connects from {origin}: start it " in str(refusal.value)
    rules().check(registration(host, "subscriber"), origin)
    rules(allow_foreign=True).check(registration(address), origin)


@pytest.mark.parametrize("origin", ["10.0.0.1", "127.0.0.1", "10.0.0.2", None])
@pytest.mark.parametrize("allow_foreign", [False, True])
def test_nobody_publishes_at_a_port_of_the_broker(
    origin: str | None, allow_foreign: bool
) -> None:
    with pytest.raises(Refusal, match="is a port of the broker itself"):
        rules(allow_foreign=allow_foreign).check(registration(OWN), origin)


@pytest.mark.parametrize("origin", ["10.0.0.2", None])
def test_names_are_for_brokers_that_take_foreign_addresses(origin: str | None) -> None:
    request = registration("pub.example:5556")
    with pytest.raises(Refusal, match="--allow-foreign-addresses") as refusal:
        rules().check(request, origin)
    assert "names pub.example, which is not" in str(refusal.value)
    rules(allow_foreign=True).check(request, origin)
    rules().check(registration("sub.example", "subscriber"), origin)


def test_publishers_of_one_address_are_limited() -> None:
    core = BrokerCore(
        "decentralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=6.0,
        new_session=iter(range(1, 100)).__next__,
        max_publishers_from_origin=2,
    )

    def asks(address: str, role: Role = "publisher") -> messages.Reply:
        request = registration(address, role)
        peer = f"{role} {address}".encode()
        effects = core.register(peer, request, 0.0, origin="10.0.0.2")
        (reply,) = (e.message for e in effects if isinstance(e, Send))
        return reply

    for port in (1, 2):
        assert isinstance(asks(f"10.0.0.2:{port}"), messages.Registered)
    third = asks("10.0.0.2:3")
    assert isinstance(third, messages.Error)
    assert third.code == messages.TOO_MANY
    assert "2 publishers are registered from 10.0.0.2" in third.detail
    # Subscribers are not limited, nor is a publisher that replaces an earlier one.
    assert isinstance(asks("10.0.0.2", "subscriber"), messages.Registered)
    assert isinstance(asks("10.0.0.2:2"), messages.Registered)
    session = asks("10.0.0.2:1")
    assert isinstance(session, messages.Registered)
    core.disconnect(b"x", messages.Disconnect(id=2, session=session.session), 0.0)
    assert isinstance(asks("10.0.0.2:3"), messages.Registered)


def test_the_addresses_of_an_ipv6_network_are_limited_together() -> None:
    core = BrokerCore(
        "decentralized",
        MemoryRegistry(),
        epoch=1,
        lease_s=6.0,
        new_session=iter(range(1, 100)).__next__,
        max_publishers_from_origin=2,
    )

    def asks(host: str) -> messages.Reply:
        request = registration(f"{host}:1")
        effects = core.register(host.encode(), request, 0.0, origin=host)
        (reply,) = (e.message for e in effects if isinstance(e, Send))
        return reply

    for number in (1, 2):
        assert isinstance(asks(f"[2001:db8::{number}]"), messages.Registered)
    third = asks("[2001:db8::3]")
    assert isinstance(third, messages.Error)
    assert "2 publishers are registered from 2001:db8::/64" in third.detail
    assert isinstance(asks("[2001:db8:0:1::3]"), messages.Registered)

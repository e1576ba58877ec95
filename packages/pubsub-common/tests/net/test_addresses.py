"""Which address a host is reached at."""

from __future__ import annotations

import errno
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from support.ipv6 import needs_ipv6

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.net import addresses
from pubsub_common.net.addresses import (
    choose_address,
    host_address,
    interface_addresses,
    is_local,
    lacks_ipv6,
    resolve,
    resolve_all,
    resolve_own,
    why_not,
)

LOOPBACK = {"lo": "127.0.0.1"}


@pytest.mark.parametrize(
    ("interfaces", "chosen"),
    [
        pytest.param({}, "127.0.0.1", id="no interface at all"),
        pytest.param(LOOPBACK, "127.0.0.1", id="loopback only"),
        pytest.param(
            {**LOOPBACK, "h3-eth0": "10.0.0.3"}, "10.0.0.3", id="Mininet host"
        ),
        pytest.param(
            {**LOOPBACK, "h3-eth1": "10.0.1.3", "h3-eth0": "10.0.0.3"},
            "10.0.0.3",
            id="Mininet host with two links",
        ),
        pytest.param({"h3-eth0": "10.0.0.3"}, "10.0.0.3", id="no loopback"),
        pytest.param(
            {**LOOPBACK, "eth0": "192.168.0.7"}, "127.0.0.1", id="ordinary machine"
        ),
        pytest.param(
            {**LOOPBACK, "eth0": "192.168.0.7", "s1-eth1": "10.0.0.9"},
            "127.0.0.1",
            id="machine on which Mininet runs",
        ),
        pytest.param(
            {**LOOPBACK, "docker0": "172.17.0.1"}, "127.0.0.1", id="docker bridge"
        ),
        pytest.param({"lo": "127.0.0.1", "eth0": "127.0.5.1"}, "127.0.0.1", id="alias"),
        pytest.param(
            {**LOOPBACK, "h1-eth0.5": "10.0.0.1"}, "127.0.0.1", id="VLAN of a host"
        ),
    ],
)
def test_the_address_is_a_mininet_hosts_own_or_loopback(
    interfaces: dict[str, str], chosen: str
) -> None:
    assert choose_address(interfaces) == chosen


def test_the_first_address_of_each_interface_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = {
        "lo": {2: [{"addr": "127.0.0.1"}, {"addr": "127.0.0.2"}]},
        "h1-eth0": {2: [{"addr": "10.0.0.1"}], 10: [{"addr": "fe80::1"}]},
        "h1-eth1": {10: [{"addr": "fe80::2%h1-eth1"}, {"addr": "fd00:0::1"}]},
        "v6": {10: [{"addr": "fe80::2"}]},
        "down": {},
    }
    fake = SimpleNamespace(
        AF_INET=2,
        AF_INET6=10,
        interfaces=lambda: list(entries),
        ifaddresses=entries.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "netifaces", fake)

    assert interface_addresses() == {
        "lo": "127.0.0.1",
        "h1-eth0": "10.0.0.1",
        "h1-eth1": "[fd00::1]",
    }


def test_the_interfaces_of_this_machine_can_be_read() -> None:
    assert "127.0.0.1" in interface_addresses().values()


@pytest.mark.parametrize("peer", [None, "127.0.0.1", "127.0.7.3"])
def test_without_a_distant_peer_the_interfaces_decide(
    monkeypatch: pytest.MonkeyPatch, peer: str | None
) -> None:
    monkeypatch.setattr(
        addresses, "interface_addresses", lambda: {"h1-eth0": "10.0.0.1"}
    )

    assert host_address(peer) == "10.0.0.1"


class FakeSocket:
    """A datagram socket with a routing table of one line, or without lines."""

    def __init__(self, source: str | None) -> None:
        self.source = source
        self.peer: object = None
        self.closed = False

    def connect(self, peer: object) -> None:
        self.peer = peer
        if self.source is None:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        return str(self.source), 1234

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.mark.parametrize("source", ["10.0.0.7", None])
def test_towards_a_peer_the_route_decides(
    monkeypatch: pytest.MonkeyPatch, source: str | None
) -> None:
    fake = FakeSocket(source)
    monkeypatch.setattr(socket, "socket", lambda *_: fake)

    if source is None:
        with pytest.raises(PubSubError, match=r"10\.0\.0\.1.*unreachable") as found:
            host_address("10.0.0.1")
        assert not isinstance(found.value, ConfigError)  # it may come up yet
    else:
        assert host_address("10.0.0.1") == source
    assert fake.peer is not None
    assert fake.closed


# Names


def test_an_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")

    assert resolve("10.0.0.1") == "10.0.0.1"
    assert resolve("[2001:db8::1]") == "[2001:db8::1]"


@pytest.mark.parametrize(
    ("found", "usable"),
    [
        (["10.0.0.7", "10.0.0.8", "10.0.0.7"], ["10.0.0.7", "10.0.0.8"]),
        (["2001:db8::7", "10.0.0.7"], ["10.0.0.7", "[2001:db8::7]"]),
        (["fe80::1%2", "2001:db8::7"], ["[2001:db8::7]"]),
        (["2001:DB8:0::7"], ["[2001:db8::7]"]),
    ],
)
def test_a_names_addresses_begin_with_those_of_ipv4(
    monkeypatch: pytest.MonkeyPatch, found: list[str], usable: list[str]
) -> None:
    def look_up(name: str, _port: None, type: int) -> list[Any]:
        assert name == "broker"
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, type, 6, "", (each, 0))
            for each in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert resolve_all("broker") == usable


def _known(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    """Every name has these addresses."""
    monkeypatch.setattr(addresses, "resolve_all", lambda _: list(found))


def test_of_several_addresses_one_is_taken_that_can_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _known(monkeypatch, "10.0.0.7", "[2001:db8::7]")

    def no_ipv4(peer: str) -> str:
        if peer == "[2001:db8::7]":
            return "[2001:db8::1]"
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(addresses, "_source_towards", no_ipv4)
    assert resolve("broker") == "[2001:db8::7]"

    _known(monkeypatch, "10.0.0.7", "10.0.0.8")
    assert resolve("broker") == "10.0.0.7"  # to say why it cannot be reached


def test_of_its_own_addresses_a_host_takes_one_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _known(monkeypatch, "192.0.2.1", "127.0.0.9")
    assert resolve_own("here") == "127.0.0.9"
    _known(monkeypatch, "192.0.2.1")
    assert resolve_own("here") == "192.0.2.1"


def test_this_machine_has_a_name() -> None:
    assert resolve("localhost") == "127.0.0.1"


@pytest.mark.parametrize("found", ["Name or service not known", "0.0.0.0"])
def test_a_name_without_a_usable_address_is_no_mistake_in_the_options(
    monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    def look_up(*_: object, **__: object) -> list[Any]:
        if found == "0.0.0.0":
            return [(2, 1, 6, "", (found, 0))]
        raise socket.gaierror(socket.EAI_NONAME, found)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    with pytest.raises(PubSubError, match=f"known of 'broker': {found}") as error:
        resolve("broker")
    assert not isinstance(error.value, ConfigError)


# IPv6


@needs_ipv6
def test_a_peer_on_ipv6_loopback_is_reached_from_there() -> None:
    assert host_address("[::1]") == "[::1]"


@needs_ipv6
def test_ipv6_loopback_is_of_this_machine() -> None:
    assert is_local("[::1]")
    assert not is_local("[2001:db8::1]")
    assert not lacks_ipv6()


def test_a_kernel_without_ipv6_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_sockets(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", no_sockets)
    error = OSError(19, "No such device")

    assert lacks_ipv6()
    assert why_not("[2001:db8::1]", error) == "this machine has no IPv6"
    assert why_not("10.0.0.1", error) == "No such device"
    for peer in ("[2001:db8::1]", "[::1]"):
        with pytest.raises(PubSubError, match="this machine has no IPv6") as found:
            host_address(peer)
        assert peer in str(found.value)


def test_a_port_in_use_says_what_to_do_and_no_address_twice() -> None:
    taken = zmq.ZMQError(errno.EADDRINUSE, "Address already in use (addr='tcp://x:1')")
    other = zmq.ZMQError(errno.EADDRNOTAVAIL, "Cannot assign (addr='tcp://x:1')")

    assert why_not("10.0.0.1", taken) == (
        "Address already in use; another program listens there: choose another port"
    )
    assert why_not("10.0.0.1", other) == "Cannot assign requested address"

"""Addresses to listen at, and advertised addresses."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import written
from pubsub_common.protocol.listening import (
    is_wildcard,
    near_host,
    parse_advertised,
    parse_listen_host,
    parse_ports,
)


@pytest.mark.parametrize(
    ("text", "host", "near"),
    [
        ("0.0.0.0", "0.0.0.0", "127.0.0.1"),
        ("::", "[::]", "127.0.0.1"),
        ("[::]", "[::]", "127.0.0.1"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "[2001:db8::1]", "[2001:db8::1]"),
        ("Broker.Example", "broker.example", "broker.example"),
    ],
)
def test_a_host_to_listen_at_has_one_spelling(text: str, host: str, near: str) -> None:
    assert parse_listen_host(text) == host
    assert parse_listen_host(host) == host
    assert near_host(host) == near
    assert is_wildcard(host) == (host != near)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.1:80", "0.0.0.0:80", "224.0.0.1", "fe80::1", "a b", "*", "10.1"],
)
def test_anything_else_is_no_host_to_listen_at(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen_host(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("2001:db8::1", ("[2001:db8::1]", None)),
        ("[2001:db8::1]:80", ("[2001:db8::1]", 80)),
        ("Pub.Example:80", ("pub.example", 80)),
    ],
)
def test_an_advertised_address_may_have_a_port(
    text: str, place: tuple[str, int | None]
) -> None:
    assert parse_advertised(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "0.0.0.0", "::", "[::]:80", "10.0.0.1:0", "10.0.0.1:x", f"{'a' * 59}:1"],
)
def test_nobody_can_be_told_anything_else(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_advertised(text)


def test_ports_are_one_or_a_range() -> None:
    assert parse_ports("p", 6000) == parse_ports("p", "6000") == range(6000, 6001)
    assert parse_ports("p", "6000-6003") == range(6000, 6004)
    for wrong in (
        0,
        -1,
        65536,
        True,
        6000.5,
        "",
        "6003-6000",
        "1-2-3",
        "6000-",
        "a",
        "0",
    ):
        with pytest.raises(ConfigError, match=r"^p must be a port or a range"):
            parse_ports("p", wrong)  # type: ignore[arg-type]


def test_an_ipv4_peer_of_a_socket_of_both_families_is_an_ipv4_address() -> None:
    assert written("::ffff:10.0.0.1") == "10.0.0.1"

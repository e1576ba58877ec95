"""Hosts and ports as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import (
    broker_endpoint,
    parse_address,
    parse_broker_address,
    validate_host,
)

HOSTS = st.ip_addresses(v=4).filter(lambda ip: not ip.is_unspecified)


@given(
    HOSTS.filter(lambda ip: not ip.is_multicast and int(ip) < 2**32 - 1).map(str),
    st.integers(1, 65535),
)
def test_an_address_is_split_into_host_and_port(host: str, port: int) -> None:
    assert parse_address(f"{host}:{port}") == (host, port)


@given(st.text(max_size=30) | st.from_regex(r"[0-9.]+:\d+", fullmatch=True))
def test_an_accepted_address_has_one_spelling(text: str) -> None:
    try:
        host, port = parse_address(text)
    except ConfigError:
        return
    assert f"{host}:{port}" == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "10.0.0.1",
        "10.0.0.1:",
        ":5556",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:-1",
        "10.0.0.1:+1",
        "10.0.0.1: 1",
        "10.0.0.1:1 ",
        "10.0.0.1:1\n",
        "10.0.0.1:05556",
        "10.0.0.1:5_556",
        "10.0.0.1:http",
        "localhost:5556",
        "tcp://10.0.0.1:5556",
        "[::1]:5556",
        "10.0.0.1:1:2",
        "0.0.0.0:5556",
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(text)


@pytest.mark.parametrize("port", ["５５５６", "٥٥٥٦"])  # noqa: RUF001
def test_digits_that_libzmq_does_not_know_are_refused(port: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(f"10.0.0.1:{port}")


def test_a_port_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ConfigError):
        parse_address("10.0.0.1:" + "1" * 5000)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "192.168.255.254"])
def test_an_ipv4_address_is_a_host(host: str) -> None:
    assert validate_host(host) == host


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.01",
        "10.0.0.1 ",
        "::1",
        "１.2.3.4",  # noqa: RUF001
        "1.1.1." + "1" * 5000,
    ],
)
def test_an_invalid_ipv4_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not an IPv4 address"):
        validate_host(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_an_address_of_no_single_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not the address of one host"):
        validate_host(host)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.1:5557", ("10.0.0.1", 5557)),
        ("localhost", ("localhost", None)),
        ("broker.example:1", ("broker.example", 1)),
        ("my_broker", ("my_broker", None)),  # a service in a file of Docker Compose
        ("3com.com.", ("3com.com.", None)),
    ],
)
def test_a_broker_has_an_address_or_a_name(
    text: str, place: tuple[str, int | None]
) -> None:
    assert parse_broker_address(text) == place


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", ":5", "a:", "a:0", "a:70000", "a:b", "a:1:2", "::1", "[::1]:5"),
        *("10.1", "10.0.0.256", "127.1.", "0x7f000001", "a.0x", "1"),
        *("a b", "a..b", ".a", "-a", "a-", "tcp://a", "\u00e4", "0.0.0.0", "a\n"),
        "a" * 64,
        "a." * 127 + "a",
    ],
)
def test_an_invalid_broker_address_or_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_broker_address(text)


def test_a_port_apart_must_be_the_same() -> None:
    assert broker_endpoint("a", None) == ("a", 5555)
    assert broker_endpoint("a", 5556) == ("a", 5556)
    assert broker_endpoint("a:5557", None) == ("a", 5557)
    assert broker_endpoint("a:5557", 5557) == ("a", 5557)
    with pytest.raises(ConfigError, match="contradict each other"):
        broker_endpoint("a:5557", 5555)
    with pytest.raises(ConfigError, match="broker_port must be"):
        broker_endpoint("a", 0)


def test_who_adds_the_port_to_a_host_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1; its port is given apart$"):
        validate_host("10.0.0.9:5555")
    with pytest.raises(ConfigError, match=r"like 10\.0\.0\.1$"):
        validate_host("localhost")

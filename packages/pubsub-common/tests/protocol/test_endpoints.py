"""Hosts and ports as text."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import (
    bare,
    broker_endpoints,
    group_of,
    host_of,
    is_loopback,
    is_name,
    parse_address,
    parse_broker_address,
    parse_host,
    port_of,
    validate_host,
    validate_own_host,
    written,
)

HOSTS = st.ip_addresses(v=4).filter(lambda ip: not ip.is_unspecified)


@given(
    HOSTS.filter(lambda ip: not ip.is_multicast and int(ip) < 2**32 - 1).map(str),
    st.integers(1, 65535),
)
def test_an_address_is_split_into_host_and_port(host: str, port: int) -> None:
    assert parse_address(f"{host}:{port}") == (host, port)


@given(
    st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(ipaddress.IPv6Address),
    st.integers(1, 65535),
)
def test_an_ipv6_address_is_in_brackets(ip: ipaddress.IPv6Address, port: int) -> None:
    host = f"[{ip}]"
    assert parse_address(f"{host}:{port}") == (host, port)
    assert validate_host(ip.exploded) == validate_host(f"[{ip}]".upper()) == host
    assert (host_of(f"{host}:{port}"), port_of(f"{host}:{port}")) == (host, port)
    assert (bare(host), written(ip.exploded)) == (str(ip), host)


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
        "local host:5556",
        "tcp://10.0.0.1:5556",
        "10.0.0.1:1:2",
        "0.0.0.0:5556",
        "::1:5556",
        "[::1]",
        "[::1]:0",
        "[::1]:",
        "[::1]5556",
        "[::1:5556",
        "[[::1]]:5556",
        "[]:5556",
        "[10.0.0.1]:5556",
        "[localhost]:5556",
        "[::]:5556",
        "[ff02::1]:5556",
        "[fe80::1]:5556",
        "[fe80::1%eth0]:5556",
        "[::1%1]:5556",
        "[::ffff:10.0.0.1]:5556",
        "[2001:DB8::1]:5556",
        "[2001:db8:0::1]:5556",
        "[2001:0db8::1]:5556",
        "[2001:db8::1:1:1:1:1:1]:5556",
        "[::1.2.3.4]:5556",
        "Localhost:5556",
        "a" * 59 + ":5556",
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
        "::1 ",
        ":1",
        "[::1",
        "::1]",
        "[10.0.0.1]",
        "1::2::3",
        "g::1",
        "1:2:3:4:5:6:7:8:9",
        "１.2.3.4",  # noqa: RUF001
        "1.1.1." + "1" * 5000,
    ],
)
def test_an_invalid_ip_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not an IP address"):
        validate_host(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "[ff02::1]"]
)
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
        ("::1", ("[::1]", None)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:5557", ("[::1]", 5557)),
        ("2001:DB8:0::1", ("[2001:db8::1]", None)),
    ],
)
def test_a_broker_has_an_address_or_a_name(
    text: str, place: tuple[str, int | None]
) -> None:
    assert parse_broker_address(text) == place


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            ":5",
            "a:",
            "a:0",
            "a:70000",
            "a:b",
            "a:1:2",
            "::1:",
            "[::1]:",
            "[::1]:0",
            "[::1]5",
            "[::1",
        ),
        *("10.1", "10.0.0.256", "127.1.", "0x7f000001", "a.0x", "1"),
        *("fe80::1", "::ffff:10.0.0.1", "[::1%lo]", "[a]:1", "::"),
        *("a b", "a..b", ".a", "-a", "a-", "tcp://a", "\u00e4", "0.0.0.0", "a\n"),
        "a" * 64,
        "a." * 127 + "a",
    ],
)
def test_an_invalid_broker_address_or_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_broker_address(text)


def test_a_port_apart_must_be_the_same() -> None:
    assert broker_endpoints("a", None) == (("a", 5555),)
    assert broker_endpoints("a", 5556) == (("a", 5556),)
    assert broker_endpoints("a:5557", None) == (("a", 5557),)
    assert broker_endpoints("a:5557", 5557) == (("a", 5557),)
    with pytest.raises(ConfigError, match="contradict each other"):
        broker_endpoints("a:5557", 5555)
    with pytest.raises(ConfigError, match="broker_port must be"):
        broker_endpoints("a", 0)


def test_several_brokers_are_a_list_or_a_text_with_commas() -> None:
    found = (("a", 5555), ("10.0.0.1", 7000), ("[::1]", 5555))
    assert broker_endpoints("a, 10.0.0.1:7000,::1", None) == found
    assert broker_endpoints(["a", "10.0.0.1:7000", "[::1]"], None) == found
    assert broker_endpoints(["a,10.0.0.1:7000", "::1"], None) == found


def test_the_port_of_several_brokers_is_for_those_without_one() -> None:
    assert broker_endpoints("a,b:7000", 6000) == (("a", 6000), ("b", 7000))


def test_a_broker_counts_once() -> None:
    assert broker_endpoints("a,a:5555,a", None) == (("a", 5555),)


@pytest.mark.parametrize(
    ("brokers", "complaint"),
    [
        ("a,,b", "does not name one broker, or several"),
        ("", "does not name one broker, or several"),
        ([], "does not name one broker, or several"),
        (["a", ""], "does not name one broker, or several"),
        (["a", 1], "must have texts only"),
        (7, "must be a list of texts"),
        ("a,b:0", "is not HOST or HOST:PORT"),
        ([f"a{number}" for number in range(257)], "257 brokers are more than the 256"),
    ],
)
def test_what_names_no_brokers_is_refused(brokers: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        broker_endpoints(brokers, None)


def test_who_adds_the_port_to_a_host_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"2001:db8::1, nor the name of a host$"):
        parse_broker_address("my host")
    with pytest.raises(ConfigError, match=r"2001:db8::1; its port is given apart$"):
        validate_host("10.0.0.9:5555")
    with pytest.raises(ConfigError, match=r"its port is given apart$"):
        validate_host("[::1]:5555")
    with pytest.raises(ConfigError, match=r"or 2001:db8::1$"):
        validate_host("localhost")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "[::1]"),
        ("Pub-1.Example", "pub-1.example"),
        ("a" * 58, "a" * 58),
    ],
)
def test_a_host_calls_itself_by_address_or_name(text: str, host: str) -> None:
    assert validate_own_host(text) == host
    assert parse_host(host) == host


def test_a_name_must_fit_an_endpoint() -> None:
    with pytest.raises(ConfigError, match="longer than the 58 characters"):
        validate_own_host("a" * 59)


@pytest.mark.parametrize("text", ["::1", "[0::1]", "Example", "[2001:db8::A]"])
def test_others_must_spell_a_host_in_the_one_way(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be written (\[|example)"):
        parse_host(text)


def test_a_mapped_address_and_one_of_a_link_are_explained() -> None:
    with pytest.raises(ConfigError, match=r"is an IPv4 address: write 10\.0\.0\.1"):
        validate_host("::ffff:10.0.0.1")
    for text in ("fe80::1", "[fe80::1%eth0]"):
        with pytest.raises(ConfigError, match="is of one link only"):
            validate_host(text)


def test_hosts_are_grouped_as_limits_count_them() -> None:
    assert group_of("10.0.0.1") == "10.0.0.1"
    assert group_of("[2001:db8:0:1::5]") == "2001:db8:0:1::/64"
    assert group_of("[2001:db8:0:1:ffff::]") == "2001:db8:0:1::/64"
    assert group_of("[2001:db8:0:2::5]") == "2001:db8:0:2::/64"
    assert group_of("[::1]") == "[::1]"
    assert group_of("an unknown address") == "an unknown address"
    assert group_of("[fe80::1%eth0]") == "fe80::/64"


def test_loopback_is_known_in_each_spelling() -> None:
    for host in ("127.0.0.1", "127.3.4.5", "[::1]", "::1"):
        assert is_loopback(host)
    for host in ("10.0.0.1", "[2001:db8::1]", "localhost", ""):
        assert not is_loopback(host)
    assert is_name("localhost")
    assert not is_name("[::1]")

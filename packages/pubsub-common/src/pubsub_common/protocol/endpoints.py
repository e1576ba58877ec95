"""Hosts and endpoints: the one place where they are parsed, written, compared and grouped.

A *host* is text: an IPv4 address, an IPv6 address in brackets, or a name. An *endpoint*
is ``host:port``. Each has one spelling, so that they are compared as text: IPv6 as
RFC 5952 has it, names in lower case. Users may leave the brackets away where no port follows.
What the kernel and `ipaddress` have is the host without brackets: `bare` and `written`
are the way there and back.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.defaults import MAX_PUBLISHER_LENGTH
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.broker_url import parse_url

# ASCII digits and no leading zero: libzmq takes no other digits.
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_WITH_PORT: Final = re.compile(r"([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]+")
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A last label that is a number makes it a mistyped address, which resolvers understand
# in surprising ways: 10.1 is 10.0.0.1 for them.
_NUMBER: Final = r"([0-9]+|0[xX][0-9a-fA-F]*)\.?"
_NAME: Final = re.compile(rf"(?!([^.]+\.)*{_NUMBER}$)({_LABEL}\.)*{_LABEL}\.?")
_MAX_NAME: Final = 253
# Of a name in an endpoint: with its port it is the publisher's name in each event.
MAX_ENDPOINT_NAME: Final = MAX_PUBLISHER_LENGTH - len(":65535")
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
# A provider gives a machine, or a home, a network of this size, with all its addresses.
_GROUP_BITS: Final = 64
# Addresses with a cached spelling and group.
_REMEMBERED: Final = 4096

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# Hosts


def validate_host(text: str) -> str:
    """The host with the IP address ``text``; IPv6 may have brackets.

    Raises:
        ConfigError: It is not an IP address, or not that of one host that others can connect
            to.
    """
    try:
        parsed = _parse(text)
    except ValueError:
        hint = "" if is_name(text) else ", nor the name of a host"
        if _WITH_PORT.fullmatch(text):
            hint = "; its port is given apart"
        raise ConfigError(
            f"{text!r} is not an IP address like 10.0.0.1 or 2001:db8::1{hint}"
        ) from None
    if parsed.is_unspecified or parsed.is_multicast or parsed == _BROADCAST:
        raise ConfigError(f"{text} is not the address of one host")
    if isinstance(parsed, ipaddress.IPv6Address):
        _check_ipv6(text, parsed)
    return _written(parsed)


def validate_own_host(text: str) -> str:
    """The host that ``text`` means, an IP address or a name, as an endpoint has it.

    Raises:
        ConfigError: it is neither, or the name is too long for an endpoint.
    """
    if not is_name(text):
        return validate_host(text)
    if len(text) > MAX_ENDPOINT_NAME:
        raise ConfigError(
            f"{text!r} is longer than the {MAX_ENDPOINT_NAME} characters that a "
            "name may have here"
        )
    return text.lower()


def is_name(host: str) -> bool:
    """Whether it is a name, which is to be looked up."""
    return len(host) <= _MAX_NAME and _NAME.fullmatch(host) is not None


def is_ipv6(host: str) -> bool:
    """Whether a host is an IPv6 address."""
    return host.startswith("[")


def is_loopback(host: str) -> bool:
    """Whether a host is an address that only its own machine reaches. False for a name: its
    address is not known."""
    try:
        return _parse(host).is_loopback
    except ValueError:
        return False


def is_link_local(host: str) -> bool:
    """Whether a host is an IPv6 address that only its own link reaches, perhaps with a
    zone."""
    return re.match(r"\[fe[89ab]", host) is not None


def bare(host: str) -> str:
    """As the kernel and `ipaddress` take it: without brackets."""
    return host[1:-1] if host.startswith("[") else host


@functools.lru_cache(_REMEMBERED)
def written(address: str) -> str:
    """The host that is an IP address as the kernel or libzmq tells it."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
        # A socket of both families has IPv4 peers as such.
        return _written(parsed.ipv4_mapped or parsed)
    except ValueError:
        return f"[{address}]"


@functools.lru_cache(_REMEMBERED)
def group_of(host: str) -> str:
    """The address group of a limit per IP address: an IPv4 address, or the 64-bit network of
    an IPv6 address, because one machine has all of its addresses."""
    if not is_ipv6(host) or is_loopback(host):
        return host
    try:
        return str(ipaddress.IPv6Network((bare(host), _GROUP_BITS), strict=False))
    except ValueError:
        return host


# Endpoints


def join(host: str, port: int) -> str:
    """The endpoint of a host and a port."""
    return f"{host}:{port}"


def host_of(endpoint: str) -> str:
    """The host of a valid endpoint."""
    return endpoint.rpartition(":")[0]


def port_of(endpoint: str) -> int:
    """The port of a valid endpoint."""
    return int(endpoint.rpartition(":")[2])


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of an endpoint as others tell it: in its one spelling.

    Raises:
        ConfigError: it is not of this form.
    """
    host, _, port = text.rpartition(":")
    if not _is_port(port):
        raise ConfigError(
            f"{text!r} is not an address like 10.0.0.1:5556 or [2001:db8::1]:5556"
        )
    return parse_host(host), int(port)


def is_address(text: str) -> bool:
    """Whether others may tell this as an endpoint (`parse_address`)."""
    try:
        parse_address(text)
    except ConfigError:
        return False
    return True


def parse_host(text: str) -> str:
    """The host that others tell: in its one spelling.

    Raises:
        ConfigError: it is not of this form.
    """
    host = validate_own_host(text)
    if host != text:
        raise ConfigError(f"{text!r} must be written {host}")
    return host


def parse_broker_address(
    text: str, apart: int | str | None = None
) -> tuple[str, int | None]:
    """Host and port of ``HOST`` or ``HOST:PORT``, where HOST is an IP address or a name; None
    without a port. ``apart`` is a port that was given separately.

    Raises:
        ConfigError: It is not of this form, or contradicts ``apart``.
    """
    host, port = _split(text)
    if port is not None and not _is_port(port):
        raise ConfigError(
            f"{text!r} is not HOST or HOST:PORT like 10.0.0.1:5555 or [2001:db8::1]:5555"
        )
    if not is_name(host):
        host = validate_host(host)
    if port is None:
        return host, None
    if apart is not None and str(apart) != port:
        raise ConfigError(
            f"{text!r} and the port {apart}, given apart, contradict each other"
        )
    return host, int(port)


def broker_names(address: str | Iterable[str]) -> tuple[str, ...]:
    """The brokers that a text with commas names, or a URL, or each text of a list.

    Raises:
        ConfigError: it is something else, or names none.
    """
    given = (address,) if isinstance(address, str) else address
    texts = validation.names("broker_address", given)
    found = tuple(
        name.strip() for text in texts for name in parse_url(text).brokers.split(",")
    )
    if not found or not all(found):
        raise ConfigError(
            f"{address!r} does not name one broker, or several with commas"
        )
    return found


def broker_endpoints(
    address: str | Iterable[str], port: int | None
) -> tuple[tuple[str, int], ...]:
    """Hosts and ports that a role's arguments ``broker_address`` and ``broker_port`` mean. Of
    several brokers the port is for those that are given without one.

    Raises:
        ConfigError: they make no sense, or contradict each other.
    """
    if port is not None:
        validation.port("broker_port", port)
    names = broker_names(address)
    apart = port if len(names) == 1 else None
    found = [parse_broker_address(name, apart) for name in names]
    brokers = dict.fromkeys(
        (host, own or port or defaults.CONTROL_PORT) for host, own in found
    )
    if len(brokers) > defaults.MAX_BROKERS:
        raise ConfigError(
            f"{len(brokers)} brokers are more than the {defaults.MAX_BROKERS} of a group"
        )
    return tuple(brokers)


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and int(text) <= validation.MAX_PORT


def _split(text: str) -> tuple[str, str | None]:
    """Host and port of ``HOST`` or ``HOST:PORT``; more than one colon outside brackets are
    those of an IPv6 address."""
    end = text.rfind("]") + 1
    host, colon, port = text[end:].partition(":")
    if not colon or ":" in port:
        return text, None
    return text[:end] + host, port


def _parse(text: str) -> _Address:
    """Raises:
    ValueError: It is not an IP address.
    """
    if ":" not in text:
        return ipaddress.IPv4Address(text)
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return ipaddress.IPv6Address(text)


def _written(parsed: _Address) -> str:
    return f"[{parsed}]" if isinstance(parsed, ipaddress.IPv6Address) else str(parsed)


def _check_ipv6(text: str, parsed: ipaddress.IPv6Address) -> None:
    """Raises:
    ConfigError: no other host can connect to it by this alone.
    """
    if parsed.ipv4_mapped is not None:
        raise ConfigError(f"{text} is an IPv4 address: write {parsed.ipv4_mapped}")
    if parsed.scope_id is not None or parsed.is_link_local:
        raise ConfigError(
            f"{text} is of one link only, and its zone is another one on each host: "
            "take a global or a unique local address"
        )

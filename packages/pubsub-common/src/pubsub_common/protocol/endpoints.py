"""Validates and parses hosts, ports and addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError

# ASCII digits and no leading zero, so that one address has one spelling: addresses
# are compared as text, and libzmq takes no other digits.
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_WITH_PORT: Final = re.compile(r"[0-9.]+:[0-9]+")
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A last label that is a number makes it a mistyped address, which resolvers understand
# in surprising ways: 10.1 is 10.0.0.1 for them.
_NUMBER: Final = r"([0-9]+|0[xX][0-9a-fA-F]*)\.?"
_NAME: Final = re.compile(rf"(?!([^.]+\.)*{_NUMBER}$)({_LABEL}\.)*{_LABEL}\.?")
_MAX_NAME: Final = 253
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")


def validate_host(host: str) -> str:
    """Return ``host`` if it is an IPv4 address.

    Raises:
        ConfigError: it is not, or it is 0.0.0.0, which nobody can connect to.
    """
    try:
        parsed = ipaddress.IPv4Address(host)
    except ValueError:
        hint = "; its port is given apart" if _WITH_PORT.fullmatch(host) else ""
        raise ConfigError(
            f"{host!r} is not an IPv4 address like 10.0.0.1{hint}"
        ) from None
    if parsed.is_unspecified or parsed.is_multicast or parsed == _BROADCAST:
        raise ConfigError(f"{host} is not the address of one host")
    return str(parsed)


def parse_address(text: str) -> tuple[str, int]:
    """(host, port) of ``IP:port``.

    Raises:
        ConfigError: it is not of this form.
    """
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address like 10.0.0.1:5556")
    return validate_host(host), int(port)


def parse_broker_address(
    text: str, apart: int | str | None = None
) -> tuple[str, int | None]:
    """Host and port of ``HOST`` or ``HOST:PORT``, where HOST is an IPv4 address or a
    name; None without a port. ``apart`` is the port that was given besides.

    Raises:
        ConfigError: it is not of this form, or contradicts ``apart``.
    """
    host, colon, port = text.partition(":")
    if colon and not (_PORT.fullmatch(port) and int(port) <= 65535):
        raise ConfigError(f"{text!r} is not HOST or HOST:PORT like 10.0.0.1:5555")
    if len(host) > _MAX_NAME or not _NAME.fullmatch(host):
        host = validate_host(host)
    if not colon:
        return host, None
    if apart is not None and str(apart) != port:
        raise ConfigError(
            f"{text!r} and the port {apart}, given apart, contradict each other"
        )
    return host, int(port)


def broker_endpoint(address: str, port: int | None) -> tuple[str, int]:
    """Host and port that a role's arguments ``broker_address`` and ``broker_port`` mean.

    Raises:
        ConfigError: they make no sense, or contradict each other.
    """
    if port is not None:
        validation.port("broker_port", port)
    host, own = parse_broker_address(address, port)
    return host, own or port or defaults.CONTROL_PORT

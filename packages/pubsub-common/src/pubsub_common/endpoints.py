"""Hosts and ports as text: what a valid one looks like. Core."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from pubsub_common.errors import ConfigError

# ASCII digits and no leading zero, so that one address has one spelling: addresses
# are compared as text, and libzmq takes no other digits.
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_WITH_PORT: Final = re.compile(r"[0-9.]+:[0-9]+")


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
    if parsed.is_unspecified or parsed.is_multicast:
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

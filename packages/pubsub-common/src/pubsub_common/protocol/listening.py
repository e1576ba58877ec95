"""Addresses at which a program listens, and addresses that it advertises.

They differ where a container, a firewall or a router is between: the program listens at all
addresses of its machine (a *wildcard*), and others connect to another host, perhaps through
another port.
"""

from __future__ import annotations

import re
from typing import Final

from pubsub_common import validation
from pubsub_common.defaults import LOOPBACK
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import (
    is_name,
    parse_broker_address,
    validate_host,
    validate_own_host,
)

# All addresses of a machine: those of IPv4, and those of both families.
_WILDCARDS: Final = {"0.0.0.0": "0.0.0.0", "::": "[::]", "[::]": "[::]"}  # nosec B104
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def is_wildcard(host: str) -> bool:
    """Whether a host stands for all addresses of a machine."""
    return host in _WILDCARDS


def parse_listen_host(text: str) -> str:
    """The host to listen at: an IP address or a name of this machine, or a wildcard.

    Raises:
        ConfigError: it is something else.
    """
    if text in _WILDCARDS:
        return _WILDCARDS[text]
    return text.lower() if is_name(text) else validate_host(text)


def near_host(host: str) -> str:
    """The host by which this machine reaches what listens at ``host``."""
    return LOOPBACK if is_wildcard(host) else host


def parse_advertised(text: str) -> tuple[str, int | None]:
    """Host and port of an advertised ``HOST`` or ``HOST:PORT``. Without a port it is None:
    the program advertises the port at which it listens.

    Raises:
        ConfigError: it is not of this form, or not the address of one host.
    """
    host, port = parse_broker_address(text)
    return validate_own_host(host), port


def parse_ports(name: str, given: int | str) -> range:
    """The ports that ``PORT`` or ``FIRST-LAST`` means; ``name`` is the option's.

    Raises:
        ConfigError: it is not of this form.
    """
    match = _PORTS.fullmatch(str(given)) if not isinstance(given, bool) else None
    if match is not None:
        first = int(match[1])
        last = int(match[2] or first)
        if 1 <= first <= last <= validation.MAX_PORT:
            return range(first, last + 1)
    raise ConfigError(
        f"{name} must be a port or a range of ports like 6000-6003: {given!r}"
    )

"""Who can reach a broker, and what to say of it."""

from __future__ import annotations

import ipaddress

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.endpoints import validate_host


def served_address(bind: str | None, address: str | None) -> str | None:
    """The address to serve, of two names for the same thing; None: neither was given.

    Raises:
        ConfigError: it is no address of a host, or there are two of them.
    """
    hosts = {validate_host(host) for host in (bind, address) if host}
    if len(hosts) > 1:
        raise ConfigError(f"bind and address mean the same: {bind} or {address}?")
    return hosts.pop() if hosts else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.IPv4Address(host).is_loopback


def warning(host: str, port: int, *, secure: bool) -> str | None:
    """What to say of a broker that serves ``host:port``, ``secure`` or not."""
    if secure or is_loopback(host):
        return None
    return (
        f"anyone who reaches {host}:{port} can publish and subscribe; to change that: "
        "pubsub-broker keygen DIR, then --secure DIR"
    )

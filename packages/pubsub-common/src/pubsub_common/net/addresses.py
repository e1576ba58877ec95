"""Finds the IP address of this host; the only user of netifaces.

The resolver (``gethostbyname``) gives a wrong answer inside a Mininet host, which
shares the machine's name and ``/etc/hosts`` but not its interfaces. So it is only used
for the names of brokers and publishers.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Mapping

from pubsub_common.defaults import LOOPBACK
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.endpoints import (
    bare,
    is_ipv6,
    is_link_local,
    is_loopback,
    is_name,
    validate_host,
    written,
)

# Mininet names a host's interfaces <host>-eth<number>.
_MININET_INTERFACE = re.compile(r".+-eth[0-9]+\Z")


def interface_addresses() -> dict[str, str]:
    """One address of each interface that has any: the first IPv4 address, or else the
    first IPv6 address that is not link-local."""
    import netifaces

    found = {}
    for name in netifaces.interfaces():
        addresses = netifaces.ifaddresses(name)
        entries = [
            *addresses.get(netifaces.AF_INET, ()),
            *addresses.get(netifaces.AF_INET6, ()),
        ]
        hosts = (written(str(entry["addr"])) for entry in entries)
        host = next((each for each in hosts if not is_link_local(each)), None)
        if host is not None:
            found[name] = host
    return found


def choose_address(interfaces: Mapping[str, str]) -> str:
    """The address for a role without a known peer: the interface of a Mininet host, or
    else loopback.

    A host is a Mininet host if every interface except loopback is named by Mininet's
    rule. So the root namespace never is one, for any interfaces of Mininet or Docker.
    """
    outside = {
        name: address
        for name, address in interfaces.items()
        if not is_loopback(address)
    }
    if outside and all(_MININET_INTERFACE.match(name) for name in outside):
        return outside[min(outside)]
    return LOOPBACK


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a host that is an IP address."""
    return socket.AF_INET6 if is_ipv6(host) else socket.AF_INET


def is_local(host: str) -> bool:
    """Whether an IP address belongs to this machine: TCP can only bind these."""
    try:
        with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
            probe.bind((bare(host), 0))
    except OSError:
        return False
    return True


def lacks_ipv6() -> bool:
    """Whether this machine has no IPv6 at all, not even for itself."""
    return not is_local("[::1]")


def why_not(host: str, error: Exception) -> str:
    """The reason why ``host`` cannot be used: the system's text, or that IPv6 is
    missing."""
    if is_ipv6(host) and lacks_ipv6():
        return "this machine has no IPv6"
    number: int = getattr(error, "errno", None) or 0
    if number == errno.EADDRINUSE:
        return (
            f"{os.strerror(number)}; another program listens there: choose another port"
        )
    # The text of libzmq's errors has more, which the caller has said.
    if number in errno.errorcode:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)


def resolve(host: str) -> str:
    """The IP address of ``host``, which is an address or a name: the first one of
    `resolve_all` with a route.

    Raises:
        PubSubError: it has none.
    """
    found = resolve_all(host)
    if len(found) == 1:
        return found[0]
    return next((each for each in found if _has_route(each)), found[0])


def resolve_own(host: str) -> str:
    """The IP address of ``host``, an address or name of this machine: the first one of
    `resolve_all` that belongs to this machine.

    Raises:
        PubSubError: it has none.
    """
    found = resolve_all(host)
    return next((each for each in found if is_local(each)), found[0])


def resolve_all(host: str) -> list[str]:
    """The IP addresses of ``host``, which is an address or a name. For a name, IPv4
    comes first: a host with both often serves IPv4 only.

    libzmq accepts names too, but resolves them for each connection in the thread that
    moves all events, which blocks meanwhile, and it does not report unknown names. The
    address is also needed here: to find our own, and the address that a broker forwards
    from.

    Raises:
        PubSubError: it has none.
    """
    if not is_name(host):
        return [host]
    why = "it is not the address of one host"
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        found, why = [], error.strerror or str(error)
    except UnicodeError as error:  # the text cannot be a host name
        found, why = [], str(error)
    usable: list[str] = []
    for family, _, _, _, place in found:
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        try:
            address = validate_host(written(str(place[0])))
        except ConfigError as error:
            why = str(error)
        else:
            usable += [] if address in usable else [address]
    if not usable:
        raise PubSubError(f"no IP address is known of {host!r}: {why}")
    return sorted(usable, key=is_ipv6)


def host_address(peer: str | None = None) -> str:
    """The address at which others reach this host.

    With a ``peer``: the source address that the kernel would use towards it, which is
    right with any number of interfaces (nothing is sent). Without, or with a peer on
    loopback: see `choose_address`.

    Raises:
        PubSubError: there is no route to the peer.
    """
    if peer is not None and is_ipv6(peer) and lacks_ipv6():
        raise PubSubError(
            f"the broker at {peer} cannot be reached: this machine has no IPv6"
        )
    if peer is not None and is_ipv6(peer) and is_loopback(peer):
        return peer
    if peer is None or is_loopback(peer):
        return choose_address(interface_addresses())
    try:
        return _source_towards(peer)
    except OSError as error:
        raise PubSubError(
            f"no route to the broker at {peer}: {why_not(peer, error)}"
        ) from error


def _source_towards(peer: str) -> str:
    """The address that the kernel would use towards ``peer``.

    Raises:
        OSError: there is no route.
    """
    with socket.socket(family_of(peer), socket.SOCK_DGRAM) as probe:
        probe.connect((bare(peer), 9))
        return written(str(probe.getsockname()[0]))


def _has_route(peer: str) -> bool:
    try:
        _source_towards(peer)
    except OSError:
        return False
    return True

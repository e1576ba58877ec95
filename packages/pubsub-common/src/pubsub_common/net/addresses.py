"""Finds the IP address of this host; the only user of netifaces.

Asking the resolver for it (``gethostbyname``) fails inside a Mininet host, which shares
the machine's name and ``/etc/hosts`` but not its interfaces. It is asked for a broker's
name only.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping

from pubsub_common.defaults import LOOPBACK
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.endpoints import validate_host

# Mininet names a host's interfaces <host>-eth<number>.
_MININET_INTERFACE = re.compile(r".+-eth[0-9]+\Z")


def interface_addresses() -> dict[str, str]:
    """The first IPv4 address of each interface that has one."""
    import netifaces

    found = {}
    for name in netifaces.interfaces():
        entries = netifaces.ifaddresses(name).get(netifaces.AF_INET)
        if entries:
            found[name] = str(entries[0]["addr"])
    return found


def choose_address(interfaces: Mapping[str, str]) -> str:
    """The address for a role that knows no peer: the interface of a Mininet host
    when this is one, else loopback.

    It is one when every interface but loopback is named as Mininet names a host's.
    So the root namespace is none, whatever Mininet or Docker have created there.
    """
    outside = {
        name: address
        for name, address in interfaces.items()
        if not ipaddress.IPv4Address(address).is_loopback
    }
    if outside and all(_MININET_INTERFACE.match(name) for name in outside):
        return outside[min(outside)]
    return LOOPBACK


def is_local(host: str) -> bool:
    """Whether an IPv4 address is one of this machine: only these can be bound, by TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def resolve(host: str) -> str:
    """The IPv4 address of ``host``, which is one, or a name.

    Not left to libzmq, which takes names too: it looks one up anew for each connection,
    in the thread that moves all events, which then stand still for as long as the
    resolver takes, and says nothing of a name that there is not. Besides, the address
    is needed: to find our own, and where a broker forwards from.

    Raises:
        PubSubError: it has none.
    """
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        pass
    else:
        return host
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
        return validate_host(str(found[0][4][0]))
    except OSError as error:
        why = error.strerror
    except ConfigError as error:
        why = str(error)
    raise PubSubError(f"no IPv4 address is known of {host!r}: {why}")


def host_address(peer: str | None = None) -> str:
    """The address at which others reach this host.

    With a ``peer``: the source address the kernel would use towards it, which is
    right with any number of interfaces (nothing is sent). Without, or when the
    peer is on loopback: see `choose_address`.

    Raises:
        PubSubError: there is no route to the peer.
    """
    if peer is None or ipaddress.IPv4Address(peer).is_loopback:
        return choose_address(interface_addresses())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))
        except OSError as error:
            raise PubSubError(
                f"no route to the broker at {peer}: {error.strerror}"
            ) from error
        address: str = probe.getsockname()[0]
    return address

"""The port to which subscribers, or the broker's forwarder, connect."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.defaults import CLIENTS_PER_ADDRESS_SHARE, MAX_CLIENTS
from pubsub_common.errors import CannotListen
from pubsub_common.limits.port_limits import limits_of_port
from pubsub_common.net.addresses import resolve_own, why_not
from pubsub_common.net.sockets import bind_first_free
from pubsub_common.protocol.endpoints import is_loopback
from pubsub_common.protocol.listening import is_wildcard
from pubsub_common.security.port_guard import PortGuard
from pubsub_common.validation import MAX_PORT

if TYPE_CHECKING:
    from pubsub_common.client.broker_place import BrokerPlaces
    from pubsub_publisher.config import PublisherConfig
    from pubsub_publisher.sending.event_socket import EventSocket

# As the broker's default.
_CLIENTS_PER_ADDRESS: Final = round(MAX_CLIENTS * CLIENTS_PER_ADDRESS_SHARE)

_log = logging.getLogger(__name__)

# Descriptors of a publisher, with some connections and short-lived files.
FILES: Final = 32


def own_address(host: str, brokers: BrokerPlaces | None) -> str:
    """The IP address of this ``host``, on which to listen. An address that only this machine
    reaches is logged, unless the brokers are on this machine.

    Raises:
        PubSubError: The name of the host is unknown.
    """
    address = resolve_own(host)
    peer = None if brokers is None else brokers.peer()
    near = peer is None or is_loopback(peer)
    if address != host and is_loopback(address) and not near:
        _log.warning(
            "%s is %s here, which no other host reaches: look into /etc/hosts",
            *(host, address),
        )
    return address


def bound_address(config: PublisherConfig) -> str | None:
    """The IP address of ``bind``; None without one, or if it is all addresses of this host.

    Raises:
        PubSubError: The name of the host is unknown.
    """
    host = config.listen_host
    return None if host is None or is_wildcard(host) else resolve_own(host)


def listen(
    events: EventSocket,
    config: PublisherConfig,
    host: str,
    brokers: BrokerPlaces | None,
) -> tuple[int, int]:
    """Bind the data socket of a publisher that others reach as ``host``. Returns the port, and
    the port to which others connect.

    Raises:
        CannotListen: No port is free, or the address is not one of this host.
        PubSubError: The name of the host is unknown.
    """
    if config.listen_host is None:
        address = own_address(host, brokers)
    else:
        address = resolve_own(config.listen_host)
    told = config.advertised_port
    port = bind_data_port(events, address, config.bind_port, only=told is not None)
    return port, told or port


def bind_data_port(
    events: EventSocket, host: str, first_port: int, *, only: bool = False
) -> int:
    """Bind the data socket to ``first_port`` (0: any free port), or to the next free port unless
    ``only`` is set. Returns the port, which is guarded from then on.

    Raises:
        CannotListen: No port is free, or the address is not one of this host.
    """
    try:
        guard = events.port_guard = _guard(events)
        last_port = first_port if only else MAX_PORT
        port = bind_first_free(events.socket, host, first_port, last_port)
    except zmq.ZMQError as error:
        hint = ""
        if error.errno == errno.EADDRNOTAVAIL:
            hint = "; where others reach this host by another address: --bind 0.0.0.0"
        raise CannotListen(
            f"cannot listen on {host}: {why_not(host, error)}{hint}"
        ) from error
    if port is None:
        which = (
            f"port {first_port} is in use"
            if only
            else f"no free port from {first_port}"
        )
        raise CannotListen(f"{which} on {host}")
    if first_port not in (0, port):
        _log.info("port %d is in use, taking %d", first_port, port)
    events.port = port
    guard.start()
    return port


def _guard(events: EventSocket) -> PortGuard:
    secure = events.guard is not None
    return PortGuard(
        events.socket,
        limits_of_port(_CLIENTS_PER_ADDRESS, secure=secure),
        name="pubsub-guard",
        secure=secure,
        known=None if events.guard is None else events.guard.known,
    )

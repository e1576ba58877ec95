"""The port that subscribers, or the broker's forwarder, connect to."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import zmq

from pubsub_common.errors import CannotListen
from pubsub_common.net.sockets import bind_first_free

if TYPE_CHECKING:
    from pubsub_publisher.sending.event_socket import EventSocket

_log = logging.getLogger(__name__)


def bind_data_port(events: EventSocket, host: str, first_port: int) -> int:
    """Bind the data socket to ``first_port`` (0: any free port), or the first free port
    after it; which it is.

    Raises:
        CannotListen: no port is free, or the address is not this host's.
    """
    try:
        port = bind_first_free(events.socket, host, first_port)
    except zmq.ZMQError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror}") from error
    if port is None:
        raise CannotListen(f"no free port on {host} from {first_port} on")
    if first_port not in (0, port):
        _log.info("port %d is in use, taking %d", first_port, port)
    events.port = port
    return port

"""The number of clients that a broker accepts, and the open files that they need."""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import Final

from pubsub_common.defaults import (
    CLIENTS_PER_ADDRESS_SHARE,
    MAX_CLIENTS,
    MIN_CLIENTS_PER_ADDRESS,
    PUBLISHERS_PER_ADDRESS,
)
from pubsub_common.net.open_files import raise_limit
from pubsub_common.text.counted import counted

_log = logging.getLogger(__name__)

# Open files apart from clients' connections: libzmq's own, ports, logs, the
# interpreter's, and status requests.
_SPARE: Final = 100
# The open files of a broker without clients, and per forwarder, with short-lived ones
# and a few status requests.
_OWN: Final = 22
_OWN_EACH_FORWARDER: Final = 13
# Allow at least one publisher and one subscriber.
_MIN_CLIENTS: Final = 2
# Apart from those for publishers: ports, monitors, forwarders' own.
_SPARE_SOCKETS: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """The limits for registered clients, and for those from one IP address; ``sockets``
    is the number of ZeroMQ sockets that may be needed, None: the usual number."""

    clients: int
    per_address: int
    sockets: int | None


def files_of_broker(*, forwarders: int) -> int:
    """The files that a broker opens without clients."""
    return _OWN + forwarders * _OWN_EACH_FORWARDER


def allocate(
    clients: int | None, per_address: int | None, *, forwarders: int, secure: bool
) -> Capacity:
    """The requested capacity; with None the open files decide. Raises this process's
    limit of open files as far as needed and possible."""
    allowed, too_few = clients_allowed(clients, forwarders=forwarders, secure=secure)
    if too_few is not None:
        _log.warning("%s", too_few)
    sockets = None
    if forwarders and secure:
        # Each publisher has one at each forwarder.
        sockets = allowed * forwarders + _SPARE_SOCKETS
    return Capacity(allowed, clients_per_address(per_address, allowed), sockets)


@dataclasses.dataclass(frozen=True, slots=True)
class OpenFilesNeed:
    """Open files for ``clients`` clients with ``each`` connections."""

    clients: int
    each: int

    @property
    def files(self) -> int:
        return self.clients * self.each + _SPARE

    def clients_in(self, files: int) -> int:
        """The number of clients for which this many open files are enough."""
        return max(0, (files - _SPARE) // self.each)


def need_of(clients: int, *, forwarders: int, secure: bool = False) -> OpenFilesNeed:
    """The need of a broker: each client has a control connection, and one to (or from)
    each forwarder. If the broker is ``secure``, each publisher also has its own socket
    there, which takes another descriptor."""
    return OpenFilesNeed(clients, 1 + forwarders * (2 if secure else 1))


def warning(need: OpenFilesNeed, soft: int) -> str | None:
    """The warning about a soft limit that could not be raised far enough."""
    if soft == sys.maxsize or soft >= need.files:
        return None
    return (
        f"{soft} open files are enough for {counted(need.clients_in(soft), 'client')}, not for "
        f"{need.clients}: raise the hard limit to {need.files} (ulimit -n, or "
        "LimitNOFILE= of a systemd unit), or lower --max-clients"
    )


def clients_allowed(
    asked: int | None, *, forwarders: int, secure: bool = False
) -> tuple[int, str | None]:
    """The number of clients that a broker may accept, and a warning. Without ``asked``
    it is the default, or fewer if there are not enough open files: a rejected client
    gets the reason, but a client that cannot connect does not."""
    clients = MAX_CLIENTS if asked is None else asked
    need = need_of(clients, forwarders=forwarders, secure=secure)
    soft = raise_limit(need.files)
    if asked is not None:
        return asked, warning(need, soft)
    if soft == sys.maxsize:
        return need.clients, None
    # With few files, keep a smaller reserve.
    few = (soft - files_of_broker(forwarders=forwarders)) // (2 * need.each)
    return max(_MIN_CLIENTS, min(need.clients, max(few, need.clients_in(soft)))), None


def publishers_per_address(asked: int | None, clients: int) -> int:
    """The number of publishers among an address's ``clients``: ``asked``, or the most
    that one machine can have. Subscribers try to connect to all of them."""
    return min(clients, PUBLISHERS_PER_ADDRESS) if asked is None else asked


def clients_per_address(asked: int | None, clients: int) -> int:
    """The number of ``clients`` that may come from one IP address."""
    if asked is None:
        asked = max(MIN_CLIENTS_PER_ADDRESS, round(clients * CLIENTS_PER_ADDRESS_SHARE))
    return min(asked, clients)

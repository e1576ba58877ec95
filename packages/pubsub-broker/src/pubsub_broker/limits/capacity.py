"""How many clients a broker accepts, and the open files that these need."""

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

_log = logging.getLogger(__name__)

# What is open besides clients' connections: libzmq's own, ports, logs, the interpreter's,
# and people who ask for the status.
_SPARE: Final = 100
# What a broker needs with no client, and for each forwarder, with what it opens for a
# moment, and connections of some who ask for the status.
_OWN: Final = 22
_OWN_EACH_FORWARDER: Final = 13
# For a publisher and a subscriber there is room in any case.
_MIN_CLIENTS: Final = 2
# Besides those for publishers: ports, monitors, forwarders' own.
_SPARE_SOCKETS: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """So many clients may be registered at a time, and so many from one IP address;
    ``sockets`` is how many ZeroMQ sockets there may have to be, None: the usual number."""

    clients: int
    per_address: int
    sockets: int | None


def files_of_broker(*, forwarders: int) -> int:
    """The files that a broker opens with no client."""
    return _OWN + forwarders * _OWN_EACH_FORWARDER


def allocate(
    clients: int | None, per_address: int | None, *, forwarders: int, secure: bool
) -> Capacity:
    """The capacity that was asked for, None where the open files decide. Raises this
    process's limit of open files as far as needed and possible."""
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
        """For how many clients so many open files are enough."""
        return max(0, (files - _SPARE) // self.each)


def need_of(clients: int, *, forwarders: int, secure: bool = False) -> OpenFilesNeed:
    """What a broker needs: each client has a control connection, and one to (or from)
    each forwarder; where that is ``secure``, a publisher has a socket of its own there,
    which takes a descriptor too."""
    return OpenFilesNeed(clients, 1 + forwarders * (2 if secure else 1))


def warning(need: OpenFilesNeed, soft: int) -> str | None:
    """The warning about a soft limit that could not be raised far enough."""
    if soft == sys.maxsize or soft >= need.files:
        return None
    return (
        f"{soft} open files are enough for {need.clients_in(soft)} clients, not for "
        f"{need.clients}: raise the hard limit to {need.files} (ulimit -n, or "
        "LimitNOFILE= of a systemd unit), or lower --max-clients"
    )


def clients_allowed(
    asked: int | None, *, forwarders: int, secure: bool = False
) -> tuple[int, str | None]:
    """How many clients a broker may accept, and a warning. Without ``asked`` it is the
    default, or fewer when there are not enough open files: a client that is refused
    learns why, one that cannot connect does not."""
    clients = MAX_CLIENTS if asked is None else asked
    need = need_of(clients, forwarders=forwarders, secure=secure)
    soft = raise_limit(need.files)
    if asked is not None:
        return asked, warning(need, soft)
    if soft == sys.maxsize:
        return need.clients, None
    # Where files are few, there is less to spare.
    few = (soft - files_of_broker(forwarders=forwarders)) // (2 * need.each)
    return max(_MIN_CLIENTS, min(need.clients, max(few, need.clients_in(soft)))), None


def publishers_per_address(asked: int | None, clients: int) -> int:
    """How many of an address's ``clients`` may be publishers: as many as were ``asked`` for,
    or what one machine can have. Subscribers try to connect to all of them."""
    return min(clients, PUBLISHERS_PER_ADDRESS) if asked is None else asked


def clients_per_address(asked: int | None, clients: int) -> int:
    """How many of ``clients`` may come from one IP address."""
    if asked is None:
        asked = max(MIN_CLIENTS_PER_ADDRESS, round(clients * CLIENTS_PER_ADDRESS_SHARE))
    return min(asked, clients)

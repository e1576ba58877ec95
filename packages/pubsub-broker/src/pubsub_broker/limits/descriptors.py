"""How many files (hence connections) this process may have open."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
from typing import Final

from pubsub_common.defaults import (
    CLIENTS_PER_ADDRESS_SHARE,
    MAX_CLIENTS,
    MIN_CLIENTS_PER_ADDRESS,
)

# What is open besides clients' connections: libzmq's own, ports, logs, the interpreter's,
# and people who ask for the status.
_SPARE: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """Open files for ``clients`` clients with ``each`` connections."""

    clients: int
    each: int

    @property
    def files(self) -> int:
        return self.clients * self.each + _SPARE

    def clients_in(self, files: int) -> int:
        """For how many clients so many open files are enough."""
        return max(0, (files - _SPARE) // self.each)


def need_of(clients: int, *, forwarders: int, secure: bool = False) -> Need:
    """What a broker needs: each client has a control connection, and one to (or from)
    each forwarder; where that is ``secure``, a publisher has a socket of its own there,
    which takes a descriptor too."""
    return Need(clients, 1 + forwarders * (2 if secure else 1))


def soft_limit_for(files: int, soft: int, hard: int) -> int:
    """The soft limit to set, so that ``files`` can be open as far as the hard limit
    allows; never less than it is."""
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or soft >= files:
        return soft
    return files if hard == unlimited else max(soft, min(files, hard))


def warning(need: Need, soft: int) -> str | None:
    """What to say of a soft limit that could not be raised any further."""
    if soft == resource.RLIM_INFINITY or soft >= need.files:
        return None
    return (
        f"{soft} open files are enough for {need.clients_in(soft)} clients, not for "
        f"{need.clients}: raise the hard limit to {need.files} (ulimit -n, or "
        "LimitNOFILE= of a systemd unit), or lower --max-clients"
    )


def make_room(need: Need) -> int:
    """Raise this process's limit as far as needed and possible; returns what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft_limit_for(need.files, soft, hard)
    if wanted != soft:
        # Some kernels cap it further down than the hard limit says.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft


def room_for_clients(
    asked: int | None, *, forwarders: int, secure: bool = False
) -> tuple[int, str | None]:
    """How many clients a broker may take, and a warning. If it was not ``asked`` to take
    so many, it is the default or what the open files are enough for: one that is refused
    knows why, one that cannot connect does not."""
    clients = MAX_CLIENTS if asked is None else asked
    need = need_of(clients, forwarders=forwarders, secure=secure)
    soft = make_room(need)
    if asked is not None:
        return asked, warning(need, soft)
    if soft == resource.RLIM_INFINITY:
        return need.clients, None
    return max(1, min(need.clients, need.clients_in(soft))), None


def share_of_address(asked: int | None, clients: int) -> int:
    """How many of ``clients`` may come from one IP address."""
    if asked is None:
        asked = max(MIN_CLIENTS_PER_ADDRESS, round(clients * CLIENTS_PER_ADDRESS_SHARE))
    return min(asked, clients)

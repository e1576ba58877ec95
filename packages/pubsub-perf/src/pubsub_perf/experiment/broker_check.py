"""Checks that the roles of a cell use the cell's own broker, and that it has no other clients."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pubsub_common import defaults
from pubsub_common.text.counted import counted
from pubsub_perf.hosts.interface import HostError, Hosts

_ANSWER_S: Final = 30.0
_SHOWN: Final = 3
_LISTENING: Final = "0A"
_SOCKET: Final = re.compile(r"socket:\[([0-9]+)\]")

# The number of clients by role and address of the host.
Clients = Counter[tuple[str, str]]


def check_place(pid: int, address: str) -> None:
    """Check that process ``pid`` is the broker at ``address``.

    Raises:
        HostError: another process listens there.
    """
    if not is_listening(pid, address, defaults.CONTROL_PORT):
        raise HostError(
            f"the broker at {address} is not this cell's: another process listens there"
        )


def check_clients(status: Mapping[str, Any], address: str, expected: Clients) -> None:
    """Check that the status of the broker at ``address`` lists exactly the ``expected``
    clients.

    Raises:
        HostError: the broker has other clients.
    """
    found = clients_of(status)
    if strangers := sorted((found - expected).elements()):
        raise HostError(
            f"the broker at {address} has {counted(len(strangers), 'client')} of "
            f"another cell: {_listed(strangers)}"
        )
    if missing := sorted((expected - found).elements()):
        raise HostError(
            f"{counted(len(missing), 'client is', 'clients are')} not at the broker at "
            f"{address}: "
            f"{_listed(missing)}"
        )


def clients_of(status: Mapping[str, Any]) -> Clients:
    """The clients in what ``pubsub-broker status --json`` printed."""
    return Clients(
        (client["role"], client["address"].partition(":")[0])
        for client in status["clients"]
    )


def is_listening(pid: int, address: str, port: int) -> bool:
    """Whether the process has the socket that listens at ``address:port`` in its network
    namespace. True if the kernel does not show it."""
    packed = ipaddress.IPv4Address(address).packed
    local = f"{int.from_bytes(packed, sys.byteorder):08X}:{port:04X}"
    process = Path("/proc", str(pid))
    try:
        lines = (process / "net" / "tcp").read_text().splitlines()[1:]
        links = list((process / "fd").iterdir())
    except OSError:
        return True
    rows = [fields for line in lines if len(fields := line.split()) > 9]
    listening = {row[9] for row in rows if row[1] == local and row[3] == _LISTENING}
    own = set()
    for link in links:
        with contextlib.suppress(OSError):  # closed since
            own.update(_SOCKET.findall(os.readlink(link)))  # noqa: PTH115
    return bool(listening & own)


def broker_status(hosts: Hosts, address: str, words: Sequence[str]) -> dict[str, Any]:
    """The status of the broker at ``address``, requested from host 0. ``words`` are the options
    for its keys.

    Raises:
        HostError: it does not answer.
    """
    command = ["pubsub-broker", "status", "--json", f"--broker-address={address}"]
    command += [f"--timeout={_ANSWER_S:g}", *words]
    with open(os.devnull, "wb") as log:  # noqa: PTH123
        process = hosts.spawn(0, command, folder=Path.cwd(), log=log, piped=True)
    try:
        printed, _ = process.communicate(timeout=2 * _ANSWER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        printed = b""
    try:
        status: dict[str, Any] = msgspec.json.decode(printed)
    except msgspec.DecodeError:
        raise HostError(f"the broker at {address} did not report its status") from None
    return status


def _listed(clients: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{role} at {host}" for role, host in clients[:_SHOWN])
    return f"{shown}, …" if len(clients) > _SHOWN else shown

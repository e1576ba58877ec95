"""Parses ``/proc/net/tcp`` and ``tcp6``, Linux's tables of TCP connections."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pubsub_common.protocol.endpoints import bare, host_of, join, port_of, written

# States in which data may still come in from the other side.
_ESTABLISHED: Final = 0x01
_CLOSE_WAIT: Final = 0x08
_LISTENING: Final = 0x0A


class Row(NamedTuple):
    """A connection: ``local`` and ``remote`` are the kernel's ``address:port`` in
    hexadecimal digits, ``unsent`` the bytes to send or to acknowledge."""

    local: str
    remote: str
    state: int
    unsent: int


def connections(table: str) -> Iterator[Row]:
    """The table's rows, except those of listening ports; headings and broken lines are
    skipped."""
    for line in table.splitlines():
        fields = line.split()
        if len(fields) < 5 or not fields[0].endswith(":"):
            continue
        state = int(fields[3], 16)
        if state != _LISTENING:
            unsent = int(fields[4].partition(":")[0], 16)
            yield Row(fields[1], fields[2], state, unsent)


def connections_of(port: int, table: str) -> Iterator[Row]:
    """The connections of local TCP port ``port``."""
    suffix = f":{port:04X}"
    return (row for row in connections(table) if row.local.endswith(suffix))


def unsent_bytes(port: int, table: str) -> int:
    """The bytes that the kernel must still send, or get acknowledged, on the
    connections of local TCP port ``port``."""
    return sum(row.unsent for row in connections_of(port, table))


def slowest_reader(port: int, table: str) -> tuple[str, int] | None:
    """``IP:port`` of the peer of local TCP port ``port`` with the most bytes in the
    kernel, and that number; None without any. This is the peer that does not read, if
    there is one."""
    slowest = max(connections_of(port, table), key=lambda row: row.unsent, default=None)
    if slowest is None or not slowest.unsent:
        return None
    return address_of(slowest.remote), slowest.unsent


def still_open(addresses: Iterable[str], table: str) -> set[str]:
    """Those of these ``IP:port`` from which data may still come: the other side has not
    closed the connection, or we have not read to its end."""
    wanted = {_kernel_form(address): address for address in addresses}
    return {
        wanted[row.remote]
        for row in connections(table)
        if row.remote in wanted and row.state in (_ESTABLISHED, _CLOSE_WAIT)
    }


def address_of(text: str) -> str:
    """``0100007F:15B3`` is 127.0.0.1:5555: the kernel prints an address in words of
    four bytes, each as a number in its own byte order."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return join(written(str(ipaddress.ip_address(packed))), int(port, 16))


def _kernel_form(address: str) -> str:
    """The reverse of `address_of`."""
    packed = ipaddress.ip_address(bare(host_of(address))).packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port_of(address):04X}"

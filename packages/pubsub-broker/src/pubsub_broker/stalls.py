"""Which subscriber does not read, of those at a port of the broker. Core."""

from __future__ import annotations

import ipaddress
import sys
from typing import Final

_LISTENING: Final = "0A"


def slowest_reader(port: int, table: str) -> tuple[str, int] | None:
    """``IP:port`` of the peer of local TCP port ``port`` for which the kernel holds most
    bytes, and how many; None when there are none. ``table`` is the text of
    ``/proc/net/tcp``."""
    suffix = f":{port:04X}"
    found: tuple[str, int] | None = None
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 5 or not fields[1].endswith(suffix) or fields[3] == _LISTENING:
            continue
        unsent = int(fields[4].partition(":")[0], 16)
        if unsent and (found is None or unsent > found[1]):
            found = _address(fields[2]), unsent
    return found


def _address(text: str) -> str:
    """``0100007F:15B3`` is 127.0.0.1:5555: the kernel prints the address's four bytes
    as a number of its own byte order."""
    host, _, port = text.partition(":")
    packed = int(host, 16).to_bytes(4, sys.byteorder)
    return f"{ipaddress.IPv4Address(packed)}:{int(port, 16)}"

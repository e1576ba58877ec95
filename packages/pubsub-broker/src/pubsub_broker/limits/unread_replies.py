"""Bounds the bytes that wait in this process for peers that do not read.

Theory of operation
-------------------
libzmq queues sent messages, limits only their number, and does not report the queue. So
each message is counted here as *held* until the peer has acknowledged as many bytes.
The kernel is asked for that only near a bound, or when a connection holds
`_LOOK_BYTES`. (An empty send buffer in the kernel would not prove that libzmq has
nothing more to send.)

A connection beyond its own bound must be closed. Beyond the bound of an address, or of
all addresses, the connections with the longest waiting messages must be closed: of this
address, or of the address that holds most, so that one address cannot crowd out
another.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.defaults import (
    UNREAD_ADDRESS_BYTES,
    UNREAD_CONNECTION_BYTES,
    UNREAD_TOTAL_BYTES,
)

# The memory that libzmq and Python need for a message in addition to its bytes.
MESSAGE_OVERHEAD: Final = 128
_LOOK_BYTES: Final = 16 * 1024
# Connections are closed down to this share of a bound, as each check of all of them
# takes time.
_ROOM_SHARE: Final = 0.75


@dataclasses.dataclass(frozen=True, slots=True)
class UnreadLimits:
    """The bounds in bytes for one connection (plus one message), for all of an IP
    address, and for all addresses."""

    connection: int = UNREAD_CONNECTION_BYTES
    address: int = UNREAD_ADDRESS_BYTES
    total: int = UNREAD_TOTAL_BYTES


class UnreadReplies:
    """The bytes held for each connection (``peer``) of each IP ``address``."""

    def __init__(self, limits: UnreadLimits | None = None) -> None:
        self._limits = limits or UnreadLimits()
        # By address and peer: bytes. The peer with the oldest message comes first.
        self._held: dict[str, dict[bytes, int]] = {}
        self._by_address: dict[str, int] = {}
        self.total = 0

    def held(self, peer: bytes, address: str) -> int:
        """Bytes held for one connection."""
        return self._held.get(address, {}).get(peer, 0)

    def sent(self, peer: bytes, address: str, size: int) -> None:
        """A message of ``size`` bytes was sent."""
        size += MESSAGE_OVERHEAD
        peers = self._held.setdefault(address, {})
        peers[peer] = peers.get(peer, 0) + size
        self._by_address[address] = self._by_address.get(address, 0) + size
        self.total += size

    def update(self, peer: bytes, address: str, size: int = 0) -> None:
        """Of the messages sent to this connection only ``size`` bytes are still held:
        none when it is gone."""
        before = self.held(peer, address)
        if not before:
            return
        self.total -= before - size
        self._by_address[address] -= before - size
        peers = self._held[address]
        if size:
            peers[peer] = size
            return
        del peers[peer]
        if not peers:
            del self._held[address], self._by_address[address]

    def suspects(self, peer: bytes, address: str) -> list[tuple[bytes, str]]:
        """The connections to check before the next message to this one: peer and
        address of each."""
        if self.total > self._limits.total:
            return [(each, at) for at, peers in self._held.items() for each in peers]
        if self._by_address.get(address, 0) > self._limits.address:
            return [(each, address) for each in self._held[address]]
        if self.held(peer, address) > _LOOK_BYTES:
            return [(peer, address)]
        return []

    def excess(self, peer: bytes, address: str) -> list[tuple[bytes, str]]:
        """The connections to close, after that check."""
        found: dict[tuple[bytes, str], None] = {}
        if self.held(peer, address) > self._limits.connection:
            found[peer, address] = None
        if self._by_address.get(address, 0) > self._limits.address:
            over = self._by_address[address] - _ROOM_SHARE * self._limits.address
            found.update(dict.fromkeys(self._oldest(address, over)))
        if self.total > self._limits.total:
            over = self.total - _ROOM_SHARE * self._limits.total
            by_size = sorted(self._by_address.items(), key=lambda item: -item[1])
            for most, size in by_size:
                found.update(dict.fromkeys(self._oldest(most, over)))
                over -= size
                if over <= 0:
                    break
        return list(found)

    def _oldest(self, address: str, size: float) -> list[tuple[bytes, str]]:
        """The first connections of an address that together hold ``size`` bytes."""
        found = []
        for peer, held in self._held[address].items():
            if size <= 0:
                break
            found.append((peer, address))
            size -= held
        return found

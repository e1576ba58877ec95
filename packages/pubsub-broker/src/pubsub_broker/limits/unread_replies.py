"""Bounds the bytes that wait in this process for peers that do not read.

Theory of operation
-------------------
libzmq queues what is sent, limits that by number only, and does not tell how much waits. So
each message is noted here as *held*, until the other side has acknowledged as many bytes. The
kernel is asked for that only where a bound is near, or a connection holds `_LOOK_BYTES`.
(That it has nothing to send at a moment would not tell that libzmq has nothing more for it.)

Beyond the bound of a connection, that connection is to be closed. Beyond the bound of an
address, or of all, those connections are whose oldest message has waited longest: of the
address, or of the address that holds most, so that one address cannot crowd out another.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_common.defaults import (
    UNREAD_ADDRESS_BYTES,
    UNREAD_CONNECTION_BYTES,
    UNREAD_TOTAL_BYTES,
)

# What libzmq and Python need for a message besides its bytes.
MESSAGE_OVERHEAD: Final = 128
_LOOK_BYTES: Final = 16 * 1024
# To what share of a bound connections are closed: each look at all of them takes time.
_ROOM_SHARE: Final = 0.75


@dataclasses.dataclass(frozen=True, slots=True)
class UnreadLimits:
    """Bytes held for one connection (one message more is possible), for all of an IP
    address, and for all."""

    connection: int = UNREAD_CONNECTION_BYTES
    address: int = UNREAD_ADDRESS_BYTES
    total: int = UNREAD_TOTAL_BYTES


class UnreadReplies:
    """What is held for each connection, ``peer``, of each IP ``address``."""

    def __init__(self, limits: UnreadLimits | None = None) -> None:
        self._limits = limits or UnreadLimits()
        # By address and peer: bytes. The peer whose oldest message is oldest comes first.
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
        """Of what was sent to this connection only ``size`` bytes are held yet: none when it
        is gone."""
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
        """The connections to look at before anything more is sent to this one: peer and
        address of each."""
        if self.total > self._limits.total:
            return [(each, at) for at, peers in self._held.items() for each in peers]
        if self._by_address.get(address, 0) > self._limits.address:
            return [(each, address) for each in self._held[address]]
        if self.held(peer, address) > _LOOK_BYTES:
            return [(peer, address)]
        return []

    def excess(self, peer: bytes, address: str) -> list[tuple[bytes, str]]:
        """After that look: the connections to close."""
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
        """The first connections of an address that hold ``size`` bytes together."""
        found = []
        for peer, held in self._held[address].items():
            if size <= 0:
                break
            found.append((peer, address))
            size -= held
        return found

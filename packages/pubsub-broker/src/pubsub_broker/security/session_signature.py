"""Sessions that only the client that got them can use again.

A restarted secure broker, or another one of its group, does not know the owner of a
session, so the first client to name it would get it. Therefore a part of each session
is a signature of the rest and of the client's public key. Its secret is derived from
the broker's secret key, so it is the same after a restart and at all brokers of a
group, and nothing needs to be stored.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

# A client can try each session of others with its own key: of 10,000 sessions one fits
# with a probability of 4 in 100,000. The other 25 bits distinguish the sessions of one
# key.
SIGNATURE_BITS: Final = 28
_SIZE: Final = 8
# Separates these signatures from all others made with the same secret.
_PURPOSE: Final = b"pubsub session"


class SessionSignature:
    """Signs sessions with a ``secret`` of at most 64 bytes."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, session: int, key: str) -> int:
        """A session for the client with this public key, with the upper bits of
        ``session``."""
        upper = session >> SIGNATURE_BITS
        return upper << SIGNATURE_BITS | self._of(upper, key)

    def is_genuine(self, session: int, key: str) -> bool:
        """Whether the client with this public key got this session."""
        given = session & ((1 << SIGNATURE_BITS) - 1)
        right = self._of(session >> SIGNATURE_BITS, key)
        return hmac.compare_digest(
            given.to_bytes(_SIZE, "big"), right.to_bytes(_SIZE, "big")
        )

    def _of(self, upper: int, key: str) -> int:
        digest = hashlib.blake2b(
            upper.to_bytes(_SIZE) + key.encode(),
            key=self._secret,
            person=_PURPOSE,
            digest_size=_SIZE,
        ).digest()
        return int.from_bytes(digest) >> (8 * _SIZE - SIGNATURE_BITS)

"""Sessions that only the client can bring back to which they were given.

A secure broker that was restarted, or is another one of a group, does not know who had a session:
whoever names it first would have it. So a part of each session that it gives is a signature of the
rest and of the client's public key, by a secret that is the same after a restart and at all brokers
of a group: it is made from the broker's secret key. Nothing has to be kept for that.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

# A client can try each session of others with its own key: of 10,000 there is one that fits with a
# probability of 4 in 100,000. The other 25 bits tell apart the sessions of one key.
SIGNATURE_BITS: Final = 28
_SIZE: Final = 8
# Keeps these signatures apart from all else that is ever made from the same secret.
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
        """Whether this session was given to the client with this public key."""
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

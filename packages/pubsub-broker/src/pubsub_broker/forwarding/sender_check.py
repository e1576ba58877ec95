"""Checks that a publisher sends only under its own address and session.

Each frame of a publisher, an event or an answer on a private topic, begins with a
topic, a zero byte, a kind, and an array of its address, its session, and more
(`pubsub_common.protocol.events`). The encoding of these is almost always the same
bytes, so a comparison is enough; other encodings are decoded.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from pubsub_common.protocol.batches import BATCH_MARK
from pubsub_common.protocol.events import EVENT_MARK, Session, encode_body

# All of `known_heads` lies in this many first bytes of a frame.
HEAD_BYTES: Final = 400
# A restarted publisher has a new session. Events of a few earlier ones may still be
# under way.
_SESSIONS: Final = 8


class _Head(msgspec.Struct, array_like=True, gc=False):
    publisher: str
    session: Session


_decode = msgspec.msgpack.Decoder(_Head).decode


class SenderCheck:
    """A publisher, and the sessions that it had at its address."""

    def __init__(self, address: str, session: int) -> None:
        self._address = address
        self._sessions: deque[int] = deque(maxlen=_SESSIONS)
        # The bytes after the topic in frames of the current session.
        self.known_heads: tuple[bytes, bytes] = (b"", b"")
        self.renew(session)

    def renew(self, session: int) -> None:
        """The publisher now has this session."""
        if self._sessions and self._sessions[-1] == session:
            return
        self._sessions.append(session)
        body = encode_body((self._address, session))[1:]  # after the array's own byte
        self.known_heads = (EVENT_MARK + body, BATCH_MARK + body)

    def accepts(self, frame: bytes) -> bool:
        """Whether a frame names this publisher as its sender, in any encoding."""
        array = memoryview(frame)[frame.find(b"\0") + 2 :]
        try:
            return _decode(array).session in self._sessions
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False  # names no sender

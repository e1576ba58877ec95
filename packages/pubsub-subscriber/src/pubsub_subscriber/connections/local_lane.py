"""Receives large events of publishers on this host from shared memory
(`pubsub_common.protocol.local_lane`).

Nothing is shared, and iceoryx2 is not imported, before the first large event of a publisher
in the same place has come by TCP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.local_lane import decode_reference

if TYPE_CHECKING:
    from pubsub_common.shared_memory.ring_reader import RingReader
    from pubsub_subscriber.connections.sub_socket import SubSocket

_log = logging.getLogger(__name__)

# How often it is checked whether all publishers know that a socket is narrow.
_AWARE_S: Final = 0.02


class LocalLane:
    """The memory that a subscriber shares with publishers in its ``place``."""

    def __init__(self, place: str, *, views: bool = False) -> None:
        """``views``: payloads are views of the memory, not copies."""
        self.place = place
        self.views = views
        # Makes the control thread call `prepare`, and then `subscribe`.
        self.wake: Callable[[], None] = lambda: None
        self._rings: dict[int, RingReader] = {}  # by session
        self._seen: set[int] = set()
        self._wanted: set[int] = set()
        self._failed = False
        # Publishers that know that their socket is narrow, because they have answered.
        self._aware: set[int] = set()
        # A publisher has left, which may have been killed.
        self._left = False

    # For the receiving thread

    def has(self, session: int) -> bool:
        """Whether the memory of this publisher is open."""
        return session in self._rings

    def saw_large(self, session: int) -> None:
        """A large event of this publisher has come by TCP."""
        if session not in self._seen:
            self._seen.add(session)
            self._wanted.add(session)
            self.wake()

    def read(self, frame: bytes) -> tuple[RingReader, int, list[int]] | None:
        """The memory to which a frame refers, the number of the first sample, and the sizes
        of the frames in the samples. None if there is none: they count as missing."""
        try:
            session, reference = decode_reference(frame)
        except ProtocolError:
            return None
        self._aware.add(session)
        ring = self._rings.get(session)
        if ring is None:
            return None
        if not reference.sizes:
            ring.look(reference.number)
            return None
        return ring, reference.number, reference.sizes

    # For the control thread

    def prepare(self) -> None:
        """Open the memory of publishers that have sent large events. It takes a while, so
        the caller holds no lock."""
        if self._left:
            from pubsub_common.shared_memory.library import library

            self._left = False
            library().clean_up()
        while self._wanted and not self._failed:
            session = self._wanted.pop()
            # With the extra, and only now: it takes time and memory.
            from pubsub_common.shared_memory.library import SharedMemoryError, library
            from pubsub_common.shared_memory.ring_reader import RingReader

            try:
                self._rings[session] = RingReader(library(), session)
            except SharedMemoryError as error:
                self._failed = True
                _log.warning("no shared memory (%s): large events come by TCP", error)

    def subscribe(
        self, sub_socket: SubSocket, connected: Collection[int]
    ) -> tuple[bool, float | None]:
        """Tell the publishers of this socket, to which these are ``connected``, which memory is
        open. Returns whether the receiver must be woken, and the seconds until the next
        call."""
        if self._failed:
            return sub_socket.widen(), None
        only, subscriptions = sub_socket.only_session, sub_socket.subscriptions
        publishers = [each for each in self._rings if only in (None, each)]
        if not publishers:
            return False, None
        if not subscriptions.is_narrow:
            self._aware.difference_update(connected)
        arrived = sub_socket.narrow(publishers)
        if not subscriptions.wide:
            return arrived, None
        # One that does not know sends large events in a form of which `drop_wide` would drop
        # those that are on their way. Its next reference comes after them.
        if not self._aware.issuperset(connected):
            return arrived, _AWARE_S
        return sub_socket.drop_wide() or arrived, None

    def forget(self, session: int) -> None:
        """A publisher has left, and all its events have arrived."""
        self._seen.discard(session)
        self._aware.discard(session)
        if self._rings.pop(session, None) is not None:
            self._left = True
            self.wake()

    def close(self) -> None:
        """Let go of all memory: publishers would keep samples for this subscriber."""
        for session in tuple(self._rings):
            self._rings.pop(session).close()

    def cut_off(self) -> None:
        """In a forked child: the memory is the parent's."""
        for ring in self._rings.values():
            ring.cut_off()

"""Sends large events to subscribers on this host by shared memory
(`pubsub_common.protocol.local_lane`).

A sender holds the lock of the data socket, and so does the thread that receives subscriptions.
libzmq may know a subscription before that thread has received it: so a sender that finds
messages to receive sends whole frames too.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import zmq

from pubsub_common.defaults import SHARED_MEMORY_FROM, SHARED_MEMORY_WAIT_S
from pubsub_common.earliest import earliest
from pubsub_common.protocol.local_lane import (
    encode_reference,
    for_others,
    reference_head,
)
from pubsub_common.shared_memory.library import SharedMemoryError, library
from pubsub_common.shared_memory.ring_writer import RingWriter
from pubsub_common.shared_memory.samples import HEADER_BYTES, PROBE, slot_bytes
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.sending.frame_encoder import Frame
from pubsub_publisher.subscribers.local_subscribers import LocalSubscribers
from pubsub_publisher.topics.event_columns import Stamped
from pubsub_publisher.topics.topic_state import BATCH_BYTES, TopicState, first_part

_log = logging.getLogger(__name__)

# After a departure, and between two looks while there is no room: a killed process is dead by then.
_CLEAN_UP_S: Final = 1.0
# While there is no room, subscribers forget samples this often.
_FORGET_S: Final = 0.05
# How often new memory is checked: whether all subscribers have seen it.
_PROBE_S: Final = 0.005
# How long blocking senders leave the next room in the queues to a probe.
_PROBE_WAIT_S: Final = 0.5
# asyncio waits no longer than this: nothing else runs meanwhile.
_NOBLOCK_WAIT_S: Final = 0.001
# Payloads in a sample for several events, and its size.
_SAMPLE_BYTES: Final = 2 * BATCH_BYTES
_BATCH_SLOT: Final = slot_bytes(_SAMPLE_BYTES)


class LaneSocket(Protocol):
    """The members of the data socket that the lane needs."""

    wake: Callable[[], None]
    lane_from: int
    blocking: bool

    @property
    def core(self) -> PublisherCore: ...

    def encode(
        self, topic: TopicState, first: int, events: Sequence[Stamped]
    ) -> Frame: ...

    def pieces(
        self, topic: TopicState, first: int, events: Sequence[Stamped]
    ) -> list[bytes]: ...

    def send_frame(self, frame: Frame, flags: int) -> object: ...

    def readable(self) -> bool: ...

    def tell(self, frame: bytes) -> bool: ...


class LocalLane:
    """The lane of one publisher. It sets ``lane_from`` of the data socket: payloads from this
    size on go by it."""

    def __init__(self, events: LaneSocket, local: LocalSubscribers) -> None:
        self._events = events
        self._local = local
        self._ring: RingWriter | None = None
        self._failed = False
        self._reference_head = b""
        self._probe_due = False
        self._probe_until = 0.0
        # The departures after which it was cleaned up, and when that is due again.
        self._departures = 0
        self._clean_up_at: float | None = None
        self._forget_at = 0.0
        # How many events have left by it.
        self.sent = 0

    # For a sender, which holds the lock

    def send(
        self, topic: TopicState, first: int, events: Sequence[Stamped], flags: int
    ) -> tuple[int, int, Frame | None]:
        """Send the first of these events by shared memory, as many as there is room for;
        ``first`` is the number of the first one. Returns their number, the bytes that
        were also sent to others, and the frame for others if there was no room for it: it
        must leave before any other event. An empty frame: whole frames of all these
        events must leave, for everybody.

        Raises:
            zmq.Again: There is no room for a reference, or there will soon be some in the
                memory; nobody has the events.
        """
        ring, local = self._ring, self._local
        if ring is None or not local.complete:
            return 0, 0, None
        prefix = topic.event_prefix
        others = local.wanted_by_others(prefix)
        if others:
            events = first_part(events)
        wait_s = _NOBLOCK_WAIT_S if flags else SHARED_MEMORY_WAIT_S
        sizes: list[int] = []
        first_sample, count = ring.number + 1, 0
        together = len(events) > 1 and ring.has(_BATCH_SLOT)
        while count < len(events):
            rest = events[count:]
            part = first_part(rest, _SAMPLE_BYTES) if together else rest[:1]
            pieces = self._events.pieces(topic, first + count, part)
            size = sum(map(len, pieces))
            slot = _BATCH_SLOT if len(part) > 1 else slot_bytes(size + HEADER_BYTES)
            # The subscribers do not know of samples without a reference: no wait behind them.
            if not ring.write(slot, pieces, local.count, 0.0 if sizes else wait_s):
                break
            sizes.append(size)
            count += len(part)
        if not sizes:
            if self._probe_waits() or ring.must_wait(slot):
                raise zmq.Again
            return 0, 0, None
        send = self._events.send_frame
        send(encode_reference(self._reference_head, first_sample, sizes), flags)
        self.sent += count
        if self._events.readable():
            # Perhaps a subscriber that does not read the memory, or not yet.
            return count, 0, b""
        if not others:
            return count, 0, None
        frame = for_others(
            self._events.encode(topic, first, events[:count]), len(prefix)
        )
        try:
            send(frame, flags)
        except zmq.Again:
            return count, len(frame), frame
        return count, len(frame), None

    # For the control thread

    def work(self, now: float) -> float | None:
        """Make the memory that is needed, and remove what killed processes have left. The
        caller does not hold the lock. Returns the seconds until the next call; None: after
        the next change."""
        if self._failed:
            return None
        if not self._local.wanted:
            self._events.lane_from = sys.maxsize
            return self._clean_up(self._ring, now) if self._ring else None
        ring = self._ring or self._new_ring()
        if ring is None:
            return None
        self._events.lane_from = SHARED_MEMORY_FROM
        opening = ring.is_opening
        if ring.work():
            self._probe_due, self._probe_until = True, now + _PROBE_WAIT_S
        if opening and not ring.is_opening:
            _log.info("large events go to subscribers on this host by shared memory")
        if self._probe_due:
            self._send_probe()
        if ring.failure is not None:
            _log.warning("no shared memory (%s): large events go by TCP", ring.failure)
            ring.failure = None
        again_s = self._clean_up(ring, now)
        if ring.is_opening:
            return _PROBE_S
        return earliest(self._make_room(ring, now), again_s)

    def close(self) -> None:
        """Give back the memory."""
        self._events.lane_from = sys.maxsize
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close()

    def cut_off(self) -> None:
        """In a forked child: the memory is the parent's."""
        if self._ring is not None:
            self._ring.cut_off()

    def _clean_up(self, ring: RingWriter, now: float) -> float | None:
        """If a subscriber has gone, or does not read, remove what it has left if it was
        killed. Returns the seconds until this must be called again."""
        departures = self._local.departures
        stuck = ring.waits.stuck or ring.is_opening
        if departures == self._departures and not stuck:
            self._clean_up_at = None
            return None
        if self._clean_up_at is None:
            self._clean_up_at = now + _CLEAN_UP_S
        if now < self._clean_up_at:
            return self._clean_up_at - now
        self._departures, self._clean_up_at = departures, None
        ring.clean_up()
        return None

    def _probe_waits(self) -> bool:
        """Whether a blocking sender waits until subscribers can be told of new memory."""
        waits = self._probe_due and self._events.blocking
        return waits and time.monotonic() < self._probe_until

    def _make_room(self, ring: RingWriter, now: float) -> float | None:
        """A reference that a full queue has not taken never comes, and its samples would stay
        at the subscribers. So while there is no room, tell them up to which number all
        references have left. Returns the seconds until this must be called again."""
        if not ring.is_full:
            return None
        if now < self._forget_at:
            return self._forget_at - now
        self._forget_at = now + _FORGET_S
        # The number is read before the lock is taken: references up to it have left by then.
        ring.is_full = not self._tell(ring.number)
        return _FORGET_S if ring.is_full else None

    def _send_probe(self) -> None:
        """Make subscribers look for new memory."""
        self._probe_due = not self._tell(PROBE)

    def _tell(self, number: int) -> bool:
        """Make subscribers look for new memory, and forget samples up to ``number``. False if
        there is no room for that."""
        return self._events.tell(encode_reference(self._reference_head, number, ()))

    def _new_ring(self) -> RingWriter | None:
        session = self._events.core.session
        try:
            ring = RingWriter(library(), session, self._events.wake)
        except SharedMemoryError as error:
            self._failed = True
            _log.warning("no shared memory (%s): large events go by TCP", error)
            return None
        ring.waits.patient = self._events.blocking
        self._reference_head = reference_head(session)
        self._ring = ring
        return ring

"""Writes frames into shared memory, for the subscribers of one publisher on its host.

Each size of memory has a port with a fixed number of samples, made when it is first needed. A
sample is free again when all subscribers have let go of it. Samples are numbered; a reference
tells a subscriber the number (`pubsub_common.protocol.local_lane`), and it skips those below.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from pubsub_common.defaults import SHARED_MEMORY_BYTES
from pubsub_common.shared_memory.library import (
    ASSUME_INIT,
    LOAN,
    PORTS,
    Library,
    SharedMemoryError,
    call,
    check_room,
    leak,
)
from pubsub_common.shared_memory.place import MEMORY
from pubsub_common.shared_memory.room_waits import RoomWaits
from pubsub_common.shared_memory.samples import (
    HEADER,
    HEADER_BYTES,
    PROBE,
    samples_of,
)

_POLL_S: Final = 0.0001


_Loan = Callable[[int], Any]


class _Port:
    """A port of iceoryx2, and its function that gives a free sample of at least a size."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.loan: _Loan = getattr(port, LOAN)


class RingWriter:
    """For one thread at a time; `work` for the control thread.

    ``wake`` makes the control thread call `work`.
    """

    def __init__(
        self, library: Library, publisher: int, wake: Callable[[], None]
    ) -> None:
        """``publisher`` is the session.

        Raises:
            SharedMemoryError: There is no shared memory.
        """
        self._library = library
        self._wake = wake
        self._service = library.service(publisher)
        self._ports: dict[int, _Port] = {}
        # Not used yet. A subscriber that has not seen a port cannot read it after its end.
        self._new: dict[int, _Port] = {}
        self._bytes = 0
        self._wanted: set[int] = set()
        self._refused: set[int] = set()
        self._no_room = library.module.LoanError
        self._assume_init = getattr(library.module.SampleMutUninit, ASSUME_INIT)
        self.waits = RoomWaits()
        self.number = 0
        # There was no room, perhaps because subscribers keep samples to which no reference
        # has come: they must be told (`LocalLane.work` of the publisher).
        self.is_full = False
        self.failure: SharedMemoryError | None = None

    def has(self, slot: int) -> bool:
        """Whether frames can be written that need samples of this size. If not, memory for them
        is made, if there is room."""
        if slot in self._ports:
            return True
        if slot not in self._refused and slot not in self._new:
            self._wanted.add(slot)
            self._wake()
        return False

    def write(
        self, slot: int, pieces: Sequence[bytes], readers: int, wait_s: float
    ) -> int:
        """Write a frame, which is given in pieces, into a sample of this size, for at least so
        many ``readers``. Returns the number of the sample; 0 if there is no room for
        ``wait_s`` seconds, or a reader is missing."""
        if not self.has(slot):
            return 0
        size = HEADER_BYTES + sum(map(len, pieces))
        sample = self._loan(self._ports[slot].loan, size, wait_s)
        if sample is None:
            return 0
        number = self.number + 1
        memory = memoryview(_array(size).from_address(sample.payload_ptr)).cast("B")
        end = HEADER_BYTES
        memory[:end] = HEADER.pack(number)
        for piece in pieces:
            start, end = end, end + len(piece)
            memory[start:end] = piece
        # First: a sample that has left keeps its number.
        self.number = number
        try:
            reached = self._assume_init(sample).send()
        except Exception:  # of iceoryx2: connections of peers that were killed
            return 0
        # Of a killed one the entry stays for a while.
        entries = self._service.dynamic_config.number_of_subscribers
        return number if reached >= max(readers, entries) else 0

    def must_wait(self, slot: int) -> bool:
        """After `write` without a result, into a sample of this size: whether a blocking sender
        waits, and then tries again. Else the frame goes by TCP."""
        if not self.waits.patient or slot not in self._ports:
            return False
        return self.waits.waits_behind(time.monotonic(), slot)

    def work(self) -> bool:
        """Make the ports that are wanted, and begin to use those that all subscribers have.
        Returns whether subscribers must be told to look for new ports (`PROBE`).

        For the control thread, without the lock of the socket.
        """
        made = False
        while self._wanted:
            slot = self._wanted.pop()
            if slot in self._new or slot in self._ports or slot in self._refused:
                continue
            try:
                self._new[slot] = self._open(slot, samples_of(slot))
                made = True
            except SharedMemoryError as error:
                self._refused.add(slot)
                self.failure = error
        for slot, port in list(self._new.items()):
            if not made and self._all_free(port, samples_of(slot)):
                self._ports[slot] = self._new.pop(slot)
                self.waits.opened()
        return made

    @property
    def is_opening(self) -> bool:
        """Whether a new port is not used yet, so that `work` must be called again."""
        return bool(self._new)

    def clean_up(self) -> None:
        """Remove what processes have left that were killed, and take back their samples:
        without a free one nothing is sent, and iceoryx2 does not look. For the control thread."""
        self._library.clean_up()
        for port in self._all_ports():
            with contextlib.suppress(Exception):  # of iceoryx2; it is tried again
                port.port.update_connections()

    def close(self) -> None:
        """Give back the memory."""
        for port in self._all_ports():
            port.port.delete()
        self._ports.clear()
        self._new.clear()
        self._service = None

    def cut_off(self) -> None:
        """In a forked child: the memory is the parent's."""
        for port in self._all_ports():
            leak(port.port)
        leak(self._service)
        self._ports.clear()

    def _all_ports(self) -> list[_Port]:
        return [*self._ports.values(), *self._new.values()]

    def _loan(self, loan: _Loan, size: int, wait_s: float) -> Any:
        """A free sample, perhaps after a wait; None if there is none."""
        try:
            sample = loan(size)
        except self._no_room:
            # A wait of no time is not counted: it would hide from `RoomWaits` how the time passes.
            sample = self._loan_later(loan, size, wait_s) if wait_s else None
        if sample is not None:
            self.waits.found(time.monotonic())
        return sample

    def _loan_later(self, loan: _Loan, size: int, wait_s: float) -> Any:
        waits, now = self.waits, time.monotonic()
        until = waits.begin(now, wait_s)
        sample = None
        while sample is None and now < until:
            time.sleep(_POLL_S)
            now = time.monotonic()
            with contextlib.suppress(self._no_room):
                sample = loan(size)
        waits.end(now)
        if sample is None and waits.spent:
            self.is_full = True
            self._wake()
        return sample

    def _open(self, slot: int, count: int) -> _Port:
        """A new port, with a probe for all subscribers.

        Raises:
            SharedMemoryError: There is no room for it.
        """
        if self._bytes + slot * count > SHARED_MEMORY_BYTES:
            raise SharedMemoryError(f"more than {SHARED_MEMORY_BYTES} bytes are needed")
        if len(self._ports) + len(self._new) >= PORTS:
            raise SharedMemoryError(f"more than {PORTS} sizes are needed")
        check_room()
        module = self._library.module
        try:
            builder = self._service.publisher_builder()
            builder = call(builder, "__initial_max_slice_len", slot)
            static = module.AllocationStrategy.Static
            port = (
                call(builder, "__allocation_strategy", static)
                .backpressure_strategy(module.BackpressureStrategy.DiscardData)
                .max_loaned_samples(count)
                .override_sample_preallocation(count)
                .create()
            )
        except Exception as error:
            raise SharedMemoryError(f"{error!r}") from error
        opened = _Port(port)
        try:
            _reserve(f"{self._library.prefix}*_{port.id.value}*.data")
            self._send_probe(opened)
        except OSError as error:
            port.delete()
            raise SharedMemoryError(f"{MEMORY}: {error.strerror}") from error
        self._bytes += slot * count
        return opened

    def _send_probe(self, port: _Port) -> None:
        """Raises:
        OSError: iceoryx2 cannot send on the new port.
        """
        try:
            sample = port.loan(HEADER_BYTES)
            ctypes.memmove(sample.payload_ptr, HEADER.pack(PROBE), HEADER_BYTES)
            self._assume_init(sample).send()
        except Exception as error:
            raise OSError(0, repr(error)) from error

    def _all_free(self, port: _Port, count: int) -> bool:
        """Whether no subscriber has a sample of the port."""
        loans = []
        try:
            for _ in range(count):
                loans.append(port.loan(HEADER_BYTES))
        except self._library.module.LoanError:
            return False
        return True


@functools.lru_cache(64)
def _array(size: int) -> Any:
    """The type of an array of so many bytes."""
    return ctypes.c_ubyte * size


def _reserve(pattern: str) -> None:
    """Take the memory of a new port now. Else a write into it, when the file system is full,
    would end the process (SIGBUS).

    Raises:
        OSError: There is not enough memory.
    """
    for path in MEMORY.glob(pattern):
        with path.open("rb+") as file:
            size = os.fstat(file.fileno()).st_size
            os.posix_fallocate(file.fileno(), 0, size)

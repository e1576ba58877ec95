"""Reads the frames that a publisher of this host has written into shared memory."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from pubsub_common.shared_memory.library import (
    Library,
    SharedMemoryError,
    leak,
)
from pubsub_common.shared_memory.samples import HEADER_BYTES, MAX_SAMPLES, PROBE

# Types of arrays that are kept: to make one costs as much as to read a frame.
_MAX_TYPES: Final = 64


class RingReader:
    """The memory of one publisher. For one thread at a time.

    An exception of a signal handler may come after each step of `take`, and loses no frame:
    a frame is here until `done`.
    """

    def __init__(self, library: Library, publisher: int) -> None:
        """``publisher`` is the session. From now on its samples are kept for this reader.

        Raises:
            SharedMemoryError: There is no shared memory.
        """
        self._service = library.service(publisher)
        try:
            self._port = (
                self._service.subscriber_builder().buffer_size(MAX_SAMPLES).create()
            )
        except Exception as error:
            raise SharedMemoryError(f"{error!r}") from error
        self._receive = self._port.receive
        self._held: list[Any] = []
        self._at = 0  # of the frame that was taken last
        self._types: dict[int, Any] = {}
        self.look()  # now it has seen the ports that are there

    def look(self, number: int = PROBE) -> None:
        """See new ports of the publisher, and forget probes and all samples up to this
        number."""
        self._held.extend(iter(self._receive, None))
        self._held[:] = [each for each in self._held if _number_of(each) > number]

    def take(self, number: int, size: int) -> memoryview | None:
        """The frame in the sample of this number, of ``size`` bytes; None if it is not here.
        The same one can be taken again until `done` is called, or a later one is taken. The
        memory is kept for as long as the view or a part of it is used."""
        found = self._find(number)
        if found is None:
            # In one step without Python code: an exception loses no sample.
            self._held.extend(iter(self._receive, None))
            found = self._find(number)
        return None if found is None else self._frame(found, size)

    def done(self) -> None:
        """The frame that was taken last is no longer needed."""
        del self._held[self._at : self._at + 1]

    def close(self) -> None:
        """Let go of the memory; views of it stay valid."""
        self._held.clear()
        self._port.delete()

    def cut_off(self) -> None:
        """In a forked child: the memory is the parent's."""
        for each in (*self._held, self._port, self._service):
            leak(each)

    def _find(self, number: int) -> Any:
        held = self._held
        while held:
            first = held[0]
            found = _number_of(first)
            if found >= number:
                break
            del held[0]
        else:
            return None
        if found == number:
            self._at = 0
            return first
        # Samples of another size have come first.
        for at, sample in enumerate(held):
            if _number_of(sample) == number:
                self._at = at
                return sample
        return None

    def _frame(self, sample: Any, size: int) -> memoryview | None:
        if size + HEADER_BYTES > sample.header.number_of_elements:
            return None
        array_type = self._types.get(size)
        if array_type is None:
            if len(self._types) >= _MAX_TYPES:
                self._types.clear()
            array_type = self._types[size] = ctypes.c_ubyte * size
        array: Any = array_type.from_address(sample.payload_ptr + HEADER_BYTES)
        array.sample = sample  # as long as the view is used
        return memoryview(array).cast("B").toreadonly()


def _number_of(sample: Any) -> int:
    return int(ctypes.c_uint64.from_address(sample.payload_ptr).value)

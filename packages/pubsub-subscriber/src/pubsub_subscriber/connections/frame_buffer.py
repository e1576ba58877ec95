"""Memory that receives one frame at a time.

An exception of a signal handler can come right after the C call that took a frame from its
socket: the result of that call is lost, but the bytes that it wrote are here. So the first
byte shows whether the buffer holds a frame that is not processed. No frame begins with
`FREE`: topics are UTF-8, and private topics begin with 0xFF.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Final, cast

from pubsub_common.protocol.frame_length import frame_length
from pubsub_common.queue_bounds import MAX_FRAME_BYTES

# The first byte while there is no frame. It never occurs in UTF-8.
FREE: Final = 0xFE
# Linux: unused memory does not count; else a program with some twenty subscribers could not fork.
# Python has the name from 3.13 on; before, the value is known for these machines.
_MACHINES: Final = ("x86_64", "i686", "aarch64", "armv7l", "riscv64", "s390x")
_KNOWN: Final = sys.platform == "linux" and os.uname().machine in _MACHINES
_NO_RESERVE: Final = getattr(mmap, "MAP_NORESERVE", 0x4000 if _KNOWN else 0)
# The sizes to try. A frame that does not fit in is cut, and counted as malformed.
_SIZES: Final = tuple(MAX_FRAME_BYTES >> shift for shift in (0, 2, 4, 6))
# Bytes that are not a frame may have any length.
_MOST_OBJECTS: Final = 2**20
# Memory above this is released after a frame that has used it.
_KEPT_BYTES: Final = 4 * 2**20


class FrameBuffer:
    """Room for the largest frame; the kernel provides only the part that is used.

    ``memory`` is for reading a frame, ``view`` for receiving into it and for slices without a
    copy. ``memory[0]`` is `FREE` while there is no frame.
    """

    __slots__ = ("memory", "view")

    def __init__(self) -> None:
        self.memory = _map()
        self.view = memoryview(self.memory)
        self.memory[0] = FREE

    def frame(self) -> bytes:
        """The frame in the buffer when its length is not known: its length follows from its
        content, or for other bytes from its topic."""
        memory = self.memory
        length = frame_length(cast(bytearray, memory), most_objects=_MOST_OBJECTS)
        return memory[: memory.find(b"\0") + 1 if length is None else length]

    def give_back(self, size: int) -> None:
        """Release memory after a frame of ``size`` bytes."""
        if size > _KEPT_BYTES:
            self.memory.madvise(mmap.MADV_DONTNEED, _KEPT_BYTES)


def _map() -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    for size in _SIZES[:-1]:
        try:
            return mmap.mmap(-1, size, flags=flags)
        except OSError:  # an unusual limit on address space
            continue
    return mmap.mmap(-1, _SIZES[-1], flags=flags)

"""Memory that one frame at a time is received into.

An exception of a signal handler can come right behind the C call that took a frame from its
socket: what such a call would have returned is gone, but what it wrote is here. So the first
byte says whether a frame is in the buffer that nobody has dealt with. No frame begins
with `FREE`: topics are UTF-8, and private ones begin with 0xFF.
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
# Linux: memory that nobody uses does not count, or a program with some twenty subscribers could
# not fork. Python names it from 3.13 on; before, it is known for these machines.
_MACHINES: Final = ("x86_64", "i686", "aarch64", "armv7l", "riscv64", "s390x")
_KNOWN: Final = sys.platform == "linux" and os.uname().machine in _MACHINES
_NO_RESERVE: Final = getattr(mmap, "MAP_NORESERVE", 0x4000 if _KNOWN else 0)
# The sizes to try. A frame that does not fit in is cut, and counted as malformed.
_SIZES: Final = tuple(MAX_FRAME_BYTES >> shift for shift in (0, 2, 4, 6))
# What is no frame may go on for ever, as far as one can see.
_MOST_OBJECTS: Final = 2**20
# Memory behind this is given back after a frame that has used it.
_KEPT_BYTES: Final = 4 * 2**20


class FrameBuffer:
    """Room for the largest frame; the kernel provides only what has been used of it.

    ``memory`` is for looking at a frame, ``view`` for receiving into it and for slices
    without a copy. ``memory[0]`` is `FREE` while there is no frame.
    """

    __slots__ = ("memory", "view")

    def __init__(self) -> None:
        self.memory = _map()
        self.view = memoryview(self.memory)
        self.memory[0] = FREE

    def frame(self) -> bytes:
        """The frame that is in the buffer, when its length is not known: as long as its
        content says, or as much of it as its topic when it is none."""
        memory = self.memory
        length = frame_length(cast(bytearray, memory), most_objects=_MOST_OBJECTS)
        return memory[: memory.find(b"\0") + 1 if length is None else length]

    def give_back(self, size: int) -> None:
        """A frame of ``size`` bytes was here."""
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

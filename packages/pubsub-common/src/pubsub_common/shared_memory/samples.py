"""The layout of a sample: its number, and then a frame; and the sizes of samples. Pure."""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = struct.Struct("<Q")
HEADER_BYTES: Final = HEADER.size
# The number of a sample without a frame. A subscriber that takes it has seen its port.
PROBE: Final = 0
# The most samples of a port. Each can wait at a subscriber, so there is room wherever there is
# a free sample.
MAX_SAMPLES: Final = 64
_FEWEST_SAMPLES: Final = 8
_PORT_BYTES: Final = 2 * 2**20
# Room for topic and numbers beside a payload of a power of two.
_BESIDE: Final = 4096
_SMALLEST: Final = 32_768


def slot_bytes(size: int) -> int:
    """The size of the samples for a frame of ``size`` bytes."""
    power = max(_SMALLEST, 1 << (max(1, size - _BESIDE // 2) - 1).bit_length())
    return power + _BESIDE


def samples_of(slot: int) -> int:
    """How many samples of this size a port has."""
    return max(_FEWEST_SAMPLES, min(MAX_SAMPLES, _PORT_BYTES // slot))

"""Where a frame ends, in a buffer that may hold anything behind it.

Every frame of the protocol is a topic, a zero byte, a byte that says its kind, and one
MessagePack object, so its end follows from its content. A program that was interrupted just
when a frame had come into its buffer reads there how long the frame is. Nothing is decoded: objects
are stepped over.
"""

from __future__ import annotations

from typing import Final

# The bytes after the first one of an object (MessagePack, "Formats"): of a big-endian length, or a
# fixed number.
_WITH_LENGTH: Final = {
    **{0xC4: 1, 0xC5: 2, 0xC6: 4},  # bytes
    **{0xD9: 1, 0xDA: 2, 0xDB: 4},  # text
    **{0xC7: 1, 0xC8: 2, 0xC9: 4},  # extension, which has a byte for its type
}
_EXTENSIONS: Final = frozenset({0xC7, 0xC8, 0xC9})
_FIXED: Final = {
    **{0xC0: 0, 0xC2: 0, 0xC3: 0},  # nil, false, true
    **{0xCA: 4, 0xCB: 8},  # floating point
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8},  # whole numbers without sign
    **{0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},  # and with one
    **{0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17},  # extensions of a fixed length
}
# Objects in an array, twice as many in a map.
_COUNTED: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def frame_length(
    buffer: bytes | bytearray, start: int = 0, *, most_objects: int | None = None
) -> int | None:
    """The length of the frame that begins at ``start``; None if the bytes are not a frame, do
    not end in the buffer, or have more than ``most_objects`` numbers, texts and so on.

    The time is limited by that number, and by the length of the buffer.
    """
    topic_end = buffer.find(b"\0", start)
    if topic_end < 0:
        return None
    end = _object_end(buffer, topic_end + 2, most_objects or len(buffer))
    return None if end is None else end - start


def _object_end(
    buffer: bytes | bytearray, position: int, most_objects: int
) -> int | None:
    """Where the object at ``position`` ends."""
    size = len(buffer)
    missing = 1  # objects to step over; in one count, however deep they are nested
    while missing:
        if position >= size or not most_objects:
            return None
        most_objects -= 1
        first = buffer[position]
        position += 1
        missing -= 1
        if first <= 0x7F or first >= 0xE0:  # a small number
            continue
        if first <= 0x9F:  # a short map or array
            missing += (first & 0x0F) * (2 if first <= 0x8F else 1)
        elif first <= 0xBF:  # a short text
            position += first & 0x1F
        elif first in _FIXED:
            position += _FIXED[first]
        elif first in _WITH_LENGTH:
            width = _WITH_LENGTH[first]
            length = int.from_bytes(buffer[position : position + width])
            position += width + length + (first in _EXTENSIONS)
        elif first in _COUNTED:
            width, objects = _COUNTED[first]
            count = int.from_bytes(buffer[position : position + width])
            position += width
            missing += count * objects
        else:  # 0xC1, which MessagePack never uses
            return None
    return position if position <= size else None

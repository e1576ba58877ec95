"""Cuts a stream of bytes into records as it arrives."""

from __future__ import annotations

from pubsub_common.defaults import MAX_PAYLOAD_BYTES
from pubsub_common.errors import PubSubError


class RecordSplitter:
    """Splits at a terminator, a newline for instance. A record may arrive in many parts."""

    def __init__(self, terminator: bytes) -> None:
        self._terminator = terminator
        # The parts of a record whose terminator has not come; joined when it has, once.
        self._parts: list[bytes] = []
        self._size = 0

    def push(self, data: bytes) -> list[bytes]:
        """The records that are complete with ``data``, without their marks.

        Raises:
            PubSubError: one becomes longer than an event can be.
        """
        records = data.split(self._terminator)
        last = records.pop()
        if records:
            records[0] = b"".join((*self._parts, records[0]))
            self._parts = []
            self._size = 0
        if last:
            self._parts.append(last)
            self._size += len(last)
        if self._size > MAX_PAYLOAD_BYTES:
            raise PubSubError(
                f"the input has a line of more than {MAX_PAYLOAD_BYTES} bytes, "
                "which is the most that an event can carry"
            )
        return records

    def finish(self) -> list[bytes]:
        """The last record, if its terminator is missing."""
        last = b"".join(self._parts)
        self._parts = []
        self._size = 0
        return [last] if last else []

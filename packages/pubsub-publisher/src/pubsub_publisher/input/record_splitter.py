"""Splits a stream of bytes into records as it arrives."""

from __future__ import annotations

from pubsub_common.queue_bounds import QueueBounds


class RecordSplitter:
    """Splits at a terminator, for example a newline. A record may arrive in many parts."""

    def __init__(self, terminator: bytes, bounds: QueueBounds) -> None:
        self._terminator = terminator
        self._bounds = bounds
        # The parts of an incomplete record, joined once when its terminator comes.
        self._parts: list[bytes] = []
        self._size = 0

    def push(self, data: bytes) -> list[bytes]:
        """The records that ``data`` completes, without their terminators.

        Raises:
            ConfigError: A record is longer than the largest payload.
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
        self._bounds.check_payload(self._size)
        return records

    def finish(self) -> list[bytes]:
        """The last record, if its terminator is missing."""
        last = b"".join(self._parts)
        self._parts = []
        self._size = 0
        return [last] if last else []

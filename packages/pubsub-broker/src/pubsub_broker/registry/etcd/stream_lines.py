"""Splits the answer to a watch: a head, then lines that come one by one."""

from __future__ import annotations

from typing import Final

from pubsub_broker.registry.etcd.errors import Compacted, EtcdRefused

# etcd sends all changes of at most 1,000 revisions in one line. With more than this, a
# list of the final state is shorter.
MAX_LINE_BYTES: Final = 128 * 1024 * 1024
_MAX_HEAD_BYTES: Final = 64 * 1024
_OK: Final = 200


class StreamLines:
    """The answer to a request of HTTP 1.0, so it has no chunks: the part that was read
    so far."""

    def __init__(self) -> None:
        self.status = 0  # until the head is complete
        self._waiting = bytearray()

    @property
    def rest(self) -> bytes:
        """The bytes after the last complete line."""
        return bytes(self._waiting)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now; empty if the answer is a failure.

        Raises:
            EtcdRefused: the answer has another format.
            Compacted: a line is too long; all keys must be listed.
        """
        self._waiting += data
        if not self.status and not self._read_head():
            return []
        if self.status != _OK or b"\n" not in data:
            if len(self._waiting) > MAX_LINE_BYTES:
                raise Compacted(f"an answer has more than {MAX_LINE_BYTES} bytes")
            return []
        *lines, rest = bytes(self._waiting).split(b"\n")
        self._waiting = bytearray(rest)
        return [line for line in lines if line.strip()]

    def _read_head(self) -> bool:
        head, end, rest = bytes(self._waiting).partition(b"\r\n\r\n")
        if not end:
            if len(self._waiting) > _MAX_HEAD_BYTES:
                raise EtcdRefused("the answer is not HTTP")
            return False
        words = head.split(b"\r\n")[0].split(b" ")
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3:
            raise EtcdRefused("the answer is not HTTP")
        self.status = int(words[1]) if words[1].isdigit() else 599
        self._waiting = bytearray(rest)
        return True

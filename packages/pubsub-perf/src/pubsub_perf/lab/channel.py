"""Messages through two pipes, with beats in both directions."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Final

from pubsub_common.errors import PubSubError
from pubsub_perf.lab.messages import (
    BEAT_S,
    MAX_LINE,
    SILENCE_S,
    Beat,
    Message,
    NotUnderstood,
    decode,
    encode,
)

_READ_BYTES: Final = 256 * 1024


class ChannelEnded(PubSubError):
    """The other end has closed the channel, or is silent."""


class Channel:
    """One end. Any thread may send, one receives; beats are sent while it waits."""

    def __init__(
        self,
        reading: int,
        writing: int,
        *,
        silence_s: float = SILENCE_S,
        read_ahead: bool = True,
    ) -> None:
        """``reading`` and ``writing`` are file descriptors, and stay their owner's.
        ``silence_s`` is the longest silence of the other end. Without ``read_ahead`` no byte
        after a message is read, so that another process can continue with the pipe."""
        self._reading = reading
        self._writing = writing
        self._silence_s = silence_s
        self._read_bytes = _READ_BYTES if read_ahead else 1
        self._buffer = bytearray()
        self._sending = threading.Lock()
        self._sent_at = time.monotonic()

    def send(self, message: Message) -> None:
        """Raises:
        ChannelEnded: the other end is gone.
        """
        with self._sending:
            self._write(encode(message))

    def receive(self) -> Message:
        """The next message that is not a beat.

        Raises:
            ChannelEnded: the other end is gone or silent.
            NotUnderstood: the line is not a message.
        """
        while True:
            message = decode(self.receive_line())
            if not isinstance(message, Beat):
                return message

    def receive_line(self) -> bytes:
        """The next line, with its end.

        Raises:
            ChannelEnded: as `receive`.
            NotUnderstood: it is longer than any message.
        """
        heard_at = time.monotonic()
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                raise NotUnderstood(f"a line of more than {MAX_LINE} bytes")
            if self._fill():
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > self._silence_s:
                raise ChannelEnded(f"nothing heard for {self._silence_s:g} s")
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _fill(self) -> bool:
        """Wait for bytes until the next beat is due; whether some came."""
        self._beat()
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        if not poll.poll(BEAT_S * 1000):
            return False
        data = os.read(self._reading, self._read_bytes)
        if not data:
            raise ChannelEnded("the connection was closed")
        self._buffer += data
        return True

    def _beat(self) -> None:
        if time.monotonic() - self._sent_at < BEAT_S:
            return
        # The holder of the lock is sending a message, which replaces a beat.
        if self._sending.acquire(blocking=False):
            try:
                poll = select.poll()
                poll.register(self._writing, select.POLLOUT)
                if poll.poll(0):  # never wait: the other end may be dead
                    self._write(encode(Beat()))
            finally:
                self._sending.release()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._writing, rest) :]
        except OSError as error:
            raise ChannelEnded("the connection was closed") from error
        self._sent_at = time.monotonic()

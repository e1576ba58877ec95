"""Writes messages to a file that may block, in a thread of its own.

A log may be a pipe without an active reader, a stopped terminal, or a slow disk. The caller
does not wait for it: the message goes into a queue of bounded size. A full queue drops lines
and counts them. When there is room again, a line reports the count.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import Final

from pubsub_common.defaults import LOG_QUEUE_BYTES

_BLOCK_BYTES: Final = 65_536
_NEWLINE: Final = b"\n"


class MessageQueue:
    """A queue of messages for a file. `put` never waits. One thread at a time may call it;
    any thread may call `finish`."""

    def __init__(
        self,
        descriptor: int,
        describe: Callable[[int], str],
        max_bytes: int = LOG_QUEUE_BYTES,
    ) -> None:
        """``describe`` makes the line that says how many lines were left out."""
        self.describe = describe
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self.forget()

    def forget(self) -> None:
        """Reset the queue in a child process, which has none of its parent's threads."""
        # Unlike a lock, a thread can use it again inside one of its methods: the garbage
        # collector may run there, and a collected object may log.
        self._queue: queue.SimpleQueue[bytes | int | threading.Event] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None
        self._finished = False
        # All numbers only grow, and one thread changes each of them.
        self._put_bytes = self._taken_bytes = 0
        self._left_out = 0  # lines
        self._leaves_out = False
        self._described = 0
        self._unwritten = 0
        self._within_line = False

    def put(self, message: bytes) -> None:
        """Write some lines soon. They are left out if the queue is full."""
        if self._finished:
            self._write_now(message)
            return
        waiting = self._put_bytes - self._taken_bytes
        # After a gap, wait until half of the queue is free: otherwise a slow reader gets a
        # line about the gap after each line that it reads.
        limit = self._max_bytes // 2 if self._leaves_out else self._max_bytes
        if waiting + len(message) > limit:
            self._leaves_out = True
            self._left_out += _lines(message)
            return
        if self._leaves_out:
            self._leaves_out = False
            self._queue.put(self._left_out)
        self._put_bytes += len(message)
        self._queue.put(message)
        if self._thread is None:
            self._start()

    def finish(self, timeout_s: float) -> None:
        """Wait until everything is written, but at most that long. Later messages are written
        at once if that needs no waiting, and dropped otherwise."""
        if self._thread is not None:
            written = threading.Event()
            self._queue.put(written)
            written.wait(timeout_s)
        self._finished = True

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there can be no more threads, or the interpreter ends
            self._thread = None
            with contextlib.suppress(queue.Empty):
                while True:
                    item = self._queue.get_nowait()
                    if isinstance(item, bytes):
                        self._taken_bytes += len(item)
                        self._write_now(item)

    # The thread

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, bytes):
                self._write(item)
                self._taken_bytes += len(item)
            elif isinstance(item, int):
                self._describe_left_out(item)
            if self._queue.empty():
                self._describe_left_out(self._left_out)
            if isinstance(item, threading.Event):
                item.set()

    def _describe_left_out(self, left_out: int) -> None:
        if left_out > self._described:
            self._unwritten += left_out - self._described
            self._described = left_out
            self._write(b"")

    def _write(self, lines: bytes) -> None:
        """Write lines, preceded by a line with the number of missing lines, if any."""
        before = _NEWLINE if self._within_line else b""
        if self._unwritten:
            before += self.describe(self._unwritten).encode(errors="backslashreplace")
            before += _NEWLINE
        rest = self._write_until_error(before + lines)
        if rest > len(lines):
            self._unwritten += _lines(lines)
        else:
            self._unwritten = _lines(lines[len(lines) - rest :])

    def _write_until_error(self, data: bytes) -> int:
        """Write data; return how many bytes at its end could not be written. There is no place
        left to report that."""
        rest = memoryview(data)
        with contextlib.suppress(OSError):
            while rest:
                count = self._write_some(rest[:_BLOCK_BYTES])
                self._within_line = rest[count - 1] != _NEWLINE[0]
                rest = rest[count:]
        return len(rest)

    def _write_some(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # somebody else has told it not to block
                poller = select.poll()
                poller.register(self._descriptor, select.POLLOUT)
                poller.poll()

    # Without the thread

    def _write_now(self, message: bytes) -> None:
        """Write as much as possible without waiting."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        with contextlib.suppress(OSError):
            if poller.poll(0):
                os.write(self._descriptor, message[: select.PIPE_BUF])


def _lines(message: bytes) -> int:
    return message.count(_NEWLINE)

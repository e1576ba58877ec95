"""Writes events to standard output, which may be a pipe.

To a terminal each event is written at once. For a pipe or file, events are collected while
more are waiting, and written when none waits: the next program gets a single event at once,
and many with few system calls.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pubsub_common.cli.standard_streams import ReaderLeft

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event


class StdoutWriter:
    """Writes events to standard output."""

    def __init__(
        self, render: Callable[[Event], bytes], *, flush: bool = False
    ) -> None:
        """``flush``: write each event at once, to any output."""
        self._render = render
        self._file = sys.stdout.buffer
        self._at_once = flush or sys.stdout.isatty()
        self._pipe = _pipe_of_stdout()

    def write(self, event: Event) -> None:
        """Raises:
        ReaderLeft: The reader has closed the pipe.
        OutputFailed: Standard output is closed, or full.
        """
        self._file.write(self._render(event))
        if self._at_once:
            self._file.flush()

    def flush(self) -> None:
        """Raises:
        ReaderLeft: The reader has closed the pipe.
        OutputFailed: Standard output is closed, or full.
        """
        self._file.flush()

    def close(self) -> None:
        """Standard output stays open."""

    def check(self) -> None:
        """Check without writing whether the pipe still has a reader.

        Raises:
            ReaderLeft: It has none.
        """
        if self._pipe is not None and self._pipe.poll(0):
            raise ReaderLeft("the reader of standard output has left")


def _pipe_of_stdout() -> select.poll | None:
    """A poller for the end of the reader of standard output, if that is a pipe."""
    try:
        fd = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return None
    except (OSError, ValueError):  # it is not a file
        return None
    poller = select.poll()
    poller.register(fd, 0)  # errors are always reported
    return poller

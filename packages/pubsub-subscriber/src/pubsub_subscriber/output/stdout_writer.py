"""Writes events to standard output, which may be a pipe.

To a terminal each event goes at once. To a pipe or file they are collected while more
events are waiting, and go when none is: so the next program sees a lone event at once,
and many without a call of the kernel for each.
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
        """``flush`` asks for each event at once, wherever it goes."""
        self._render = render
        self._file = sys.stdout.buffer
        self._at_once = flush or sys.stdout.isatty()
        self._pipe = _pipe_of_stdout()

    def write(self, event: Event) -> None:
        """Raises:
        ReaderLeft: nobody reads any more.
        OutputFailed: standard output is closed, or full.
        """
        self._file.write(self._render(event))
        if self._at_once:
            self._file.flush()

    def flush(self) -> None:
        """Raises:
        ReaderLeft: nobody reads any more.
        OutputFailed: standard output is closed, or full.
        """
        self._file.flush()

    def close(self) -> None:
        """Standard output stays open."""

    def check(self) -> None:
        """Find out without writing whether somebody still reads.

        Raises:
            ReaderLeft: nobody does.
        """
        if self._pipe is not None and self._pipe.poll(0):
            raise ReaderLeft("the reader of standard output has left")


def _pipe_of_stdout() -> select.poll | None:
    """What tells that the reader of standard output has left, if that is a pipe."""
    try:
        fd = sys.stdout.fileno()
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return None
    except (OSError, ValueError):  # it is not a file
        return None
    poller = select.poll()
    poller.register(fd, 0)  # an error is told of without being asked for
    return poller

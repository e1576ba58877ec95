"""Standard streams of a console script: closed ones, full ones, and readers that have left.

A program may be started with any of its standard streams closed. Then the next file or
socket that it opens would get that descriptor, and data of the one would go to the other.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from pubsub_common.errors import PubSubError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2


class OutputFailed(PubSubError):
    """Standard output cannot be written: it is closed, or its disk is full."""


class ReaderLeft(PubSubError):
    """The reader of standard output has left, as ``head`` does: there is nothing more to
    do, and nothing is wrong."""


class _Output(io.FileIO):
    """Standard output. Its errors are told from those of files and sockets by their class."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise ReaderLeft("the reader of standard output has left") from None
        except OSError as error:
            closed = error.errno == errno.EBADF
            reason = "it is closed" if closed else error.strerror
            raise OutputFailed(f"cannot write to standard output: {reason}") from None


class _Messages(io.FileIO):
    """Standard error. There is no place left for a complaint about it, so what cannot be
    written is dropped: a program does not end because nobody reads its log."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def open_standard_streams() -> None:
    """Have descriptors 0, 1 and 2 open, and ``sys.stdout`` and ``sys.stderr`` writable.

    To be called before anything else is opened. Again: does nothing. Afterwards what is
    written to standard output raises `OutputFailed` or `ReaderLeft` where it cannot be
    written, and what is written to standard error raises nothing.
    """
    for number in (_STDIN, _STDOUT, _STDERR):
        _open_if_closed(number)
    # A program of one's own, or a test, may have put something else there.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(_STDOUT, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Messages(_STDERR, "wb", closefd=False), sys.stderr)


def settle() -> None:
    """Forget what standard output cannot take: the interpreter would try once more at its
    end, and complain."""
    try:
        sys.stdout.flush()
    except (PubSubError, OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # For the other direction, so that reading and writing still fail, here and in
        # programs that inherit it.
        flags = os.O_WRONLY if number == _STDIN else os.O_RDONLY
        opened = os.open(os.devnull, flags)
        os.dup2(opened, number, inheritable=True)
        if opened != number:
            os.close(opened)


def _text(raw: io.FileIO, like: io.TextIOBase | object | None) -> io.TextIOWrapper:
    """A text stream on ``raw`` that has the encoding of the interpreter's own stream
    ``like``; None: that was closed."""
    is_log = isinstance(raw, _Messages)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", "utf-8"),
        errors=getattr(like, "errors", "backslashreplace"),
        line_buffering=is_log or raw.isatty(),
    )

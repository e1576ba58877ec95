"""Standard streams of a console script: closed ones, full ones, and readers that have left.

A program may be started with any of its standard streams closed. Then the next file or
socket that it opens would get that descriptor, and data of the one would go to the other.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import plain_text
from pubsub_common.cli.message_queue import MessageQueue
from pubsub_common.defaults import OUTPUT_LINGER_S
from pubsub_common.errors import PubSubError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDIN: Final = 0
_STDOUT: Final = 1
_STDERR: Final = 2

# How the interpreter handles letters that a stream does not have, unless somebody says so.
_UNCHOSEN: Final = ("backslashreplace", "strict", "surrogateescape")
# Nobody else uses it, and where nobody handles it, it does nothing.
WAKE_SIGNAL: Final = signal.SIGURG
_WAKE_S: Final = 0.01


class OutputFailed(PubSubError):
    """Standard output cannot be written: it is closed, or its disk is full."""


class ReaderLeft(PubSubError):
    """The reader of standard output has left, as ``head`` does: there is nothing more to
    do, and nothing is wrong."""


class _Output(io.FileIO):
    """Standard output. Its errors are told from those of files and sockets by their class."""

    # The thread that is writing, perhaps because the reader has stopped.
    writer: int | None = None
    discarded = False

    def write(self, data: ReadableBuffer, /) -> int:
        self.writer = threading.get_ident()
        try:
            return super().write(data)
        except BrokenPipeError:
            raise ReaderLeft("the reader of standard output has left") from None
        except OSError as error:
            closed = error.errno == errno.EBADF
            reason = "it is closed" if closed else error.strerror
            raise OutputFailed(f"cannot write to standard output: {reason}") from None
        finally:
            self.writer = None


class _Messages(io.FileIO):
    """Standard error. There is no place left for a complaint about it, so what cannot be
    written is dropped: a program does not end, or wait, because nobody reads its log."""

    def __init__(self, queue: MessageQueue) -> None:
        super().__init__(_STDERR, "wb", closefd=False)
        self._queue = queue

    def write(self, data: ReadableBuffer, /) -> int:
        message = bytes(data)
        self._queue.put(message)
        return len(message)


def open_standard_streams(describe_left_out: Callable[[int], str]) -> None:
    """Have descriptors 0, 1 and 2 open, and ``sys.stdout`` and ``sys.stderr`` writable.

    To be called before anything else is opened. Again: does nothing. Afterwards what is
    written to standard output raises `OutputFailed` or `ReaderLeft` where it cannot be
    written. What is written to standard error raises nothing and waits for nothing; where it
    is too much, ``describe_left_out`` makes the line that says how many lines are missing.
    """
    plain_text.register()
    for number in (_STDIN, _STDOUT, _STDERR):
        _open_if_closed(number)
    # A program of one's own, or a test, may have put something else there.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(_STDOUT, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        messages = MessageQueue(_STDERR, describe_left_out)
        os.register_at_fork(after_in_child=messages.forget)
        # After all others: they may log.
        atexit.register(messages.finish, OUTPUT_LINGER_S)
        sys.stderr = _text(_Messages(messages), sys.stderr)


def settle() -> None:
    """Forget what standard output cannot take: the interpreter would try once more at its
    end, and complain."""
    try:
        sys.stdout.flush()
    except (PubSubError, OSError):
        _discard_output()


def release_output() -> None:
    """If a thread writes to standard output, and waits for a reader who has stopped, have it go
    on: what it writes, now and later, is discarded.

    For another thread, in a program that ends and handles `WAKE_SIGNAL`.
    """
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(output, _Output) or output.discarded:
        return
    writer = output.writer
    if writer is None:
        return
    import logging

    output.discarded = True
    logging.getLogger(__name__).warning(
        "nobody reads standard output: the rest is discarded"
    )
    _discard_output()
    while output.writer == writer:
        # It tries again what a signal interrupts, and finds another file there. One that comes
        # before it waits is lost; so again.
        signal.pthread_kill(writer, WAKE_SIGNAL)
        time.sleep(_WAKE_S)


def release_output_soon() -> None:
    """A signal ends this program: from `OUTPUT_LINGER_S` on, `release_output`. For the main
    thread, and for signal handlers in it."""

    def release() -> None:
        while True:
            time.sleep(OUTPUT_LINGER_S)
            release_output()

    signal.signal(WAKE_SIGNAL, lambda *_: None)
    # Without the locks of `threading`, which may be held by what a handler interrupts.
    with contextlib.suppress(RuntimeError):  # the interpreter ends just now
        _thread.start_new_thread(release, ())


def _discard_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDOUT)
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
    errors = getattr(like, "errors", _UNCHOSEN[0])
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", "utf-8"),
        errors=plain_text.ERRORS if errors in _UNCHOSEN else errors,
        line_buffering=is_log or raw.isatty(),
    )

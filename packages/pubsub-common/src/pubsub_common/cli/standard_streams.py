"""Keeps standard streams usable: closed ones, full ones, and those without a reader.

A program may start with closed standard streams. Without this module, the next file or socket
would get the free descriptor, and output would go into that file or socket.
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

# The error handlers that the interpreter chooses by itself.
_UNCHOSEN: Final = ("backslashreplace", "strict", "surrogateescape")
# A signal without other users; unhandled, it does nothing.
WAKE_SIGNAL: Final = signal.SIGURG
_WAKE_S: Final = 0.01


class OutputFailed(PubSubError):
    """Standard output cannot be written: it is closed, or its disk is full."""


class ReaderLeft(PubSubError):
    """The reader of standard output has closed it, as ``head`` does. This is not an error: the
    program ends."""


class _Output(io.FileIO):
    """Standard output. Its errors have classes of their own, unlike those of files."""

    # The thread that is writing, perhaps blocked by a stopped reader.
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
    """Standard error. Lines that cannot be written are dropped: a program does not end or wait
    because of its log."""

    def __init__(self, queue: MessageQueue) -> None:
        super().__init__(_STDERR, "wb", closefd=False)
        self._queue = queue

    def write(self, data: ReadableBuffer, /) -> int:
        message = bytes(data)
        self._queue.put(message)
        return len(message)


def open_standard_streams(describe_left_out: Callable[[int], str]) -> None:
    """Open the descriptors 0, 1 and 2, and make ``sys.stdout`` and ``sys.stderr`` writable.

    Call it before anything else is opened; a second call does nothing. Afterwards a failed
    write to standard output raises `OutputFailed` or `ReaderLeft`. A write to standard error
    raises nothing and waits for nothing. After dropped lines, ``describe_left_out`` makes the
    line with their number.
    """
    plain_text.register()
    for number in (_STDIN, _STDOUT, _STDERR):
        _open_if_closed(number)
    # Another program or a test may have replaced them.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(_STDOUT, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        messages = MessageQueue(_STDERR, describe_left_out)
        os.register_at_fork(after_in_child=messages.forget)
        # Runs after the other exit handlers, which may log.
        atexit.register(messages.finish, OUTPUT_LINGER_S)
        sys.stderr = _text(_Messages(messages), sys.stderr)


def settle() -> None:
    """Discard output that cannot be written: the interpreter would try again at its end, and
    print an error."""
    try:
        sys.stdout.flush()
    except (PubSubError, OSError):
        _discard_output()


def release_output() -> None:
    """Release a thread that waits for a stopped reader of standard output: its output, now and
    later, is discarded.

    Called by another thread, in a program that ends and handles `WAKE_SIGNAL`.
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
        # A signal interrupts the write, which is tried again on another file. A signal before
        # the write has no effect, so repeat it.
        signal.pthread_kill(writer, WAKE_SIGNAL)
        time.sleep(_WAKE_S)


def release_output_soon() -> None:
    """Call `release_output` after `OUTPUT_LINGER_S`, in a program that a signal ends. For the
    main thread and its signal handlers."""

    def release() -> None:
        while True:
            time.sleep(OUTPUT_LINGER_S)
            release_output()

    signal.signal(WAKE_SIGNAL, lambda *_: None)
    # Without the locks of `threading`: the interrupted code may hold them.
    with contextlib.suppress(RuntimeError):  # the interpreter is ending
        _thread.start_new_thread(release, ())


def _discard_output() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDOUT)
    os.close(null)


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # Open it for the other direction, so that reading and writing still fail, here and in
        # child processes.
        flags = os.O_WRONLY if number == _STDIN else os.O_RDONLY
        opened = os.open(os.devnull, flags)
        os.dup2(opened, number, inheritable=True)
        if opened != number:
            os.close(opened)


def _text(raw: io.FileIO, like: io.TextIOBase | object | None) -> io.TextIOWrapper:
    """A text stream on ``raw`` with the encoding of the interpreter's stream ``like``; None
    if that was closed."""
    is_log = isinstance(raw, _Messages)
    errors = getattr(like, "errors", _UNCHOSEN[0])
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", "utf-8"),
        errors=plain_text.ERRORS if errors in _UNCHOSEN else errors,
        line_buffering=is_log or raw.isatty(),
    )

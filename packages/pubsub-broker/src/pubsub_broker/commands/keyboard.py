"""Reads the keys that a user types, without the Enter key, until a signal or the key q."""

from __future__ import annotations

import os
import re
import select
import termios
import time
import tty
from types import TracebackType
from typing import Any, Final, Self

QUIT: Final = "q"
# What other keys send, such as the arrows: it has letters in it.
_ESCAPES: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O?.)?", re.DOTALL)
_MOST_BYTES: Final = 64


class Keyboard:
    """A context manager. On exit the terminal is as it was before."""

    def __init__(self, fd: int | None) -> None:
        """``fd`` is the standard input, or None to wait for `stop` only."""
        self._fd = fd if fd is not None and _is_ours(fd) else None
        self._before: list[Any] | None = None
        self._stop_fd, self._stopping_fd = os.pipe()

    @property
    def reads(self) -> bool:
        """Whether there is a terminal to read from."""
        return self._fd is not None

    def __enter__(self) -> Self:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd is not None and self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        os.close(self._stop_fd)
        os.close(self._stopping_fd)

    def stop(self) -> None:
        """The same as the key q. For any thread."""
        os.write(self._stopping_fd, QUIT.encode())

    def keys(self, until: float) -> str:
        """The keys typed since the last call; "" at ``until``, in monotonic seconds."""
        while True:
            watched = [self._stop_fd] if self._fd is None else [self._stop_fd, self._fd]
            left_s = max(0.0, until - time.monotonic())
            ready, _, _ = select.select(watched, [], [], left_s)
            if self._stop_fd in ready:
                return QUIT
            if not ready:
                return ""
            if typed := self._typed():
                return typed

    def _typed(self) -> str:
        assert self._fd is not None
        try:
            data = os.read(self._fd, _MOST_BYTES)
        except OSError:  # the terminal was closed
            data = b""
        if not data:
            self._fd = None
        return _ESCAPES.sub("", data.decode("ascii", "ignore")).lower()


def _is_ours(fd: int) -> bool:
    """Whether ``fd`` is a terminal that this process may read: a background job that does
    is suspended."""
    if not os.isatty(fd):
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # it is not the terminal of this session, so nothing is suspended
        return True

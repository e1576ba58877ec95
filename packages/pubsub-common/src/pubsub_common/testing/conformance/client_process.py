"""The client that is tried: a process, with pipes from its outputs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError

_READ_BYTES: Final = 65536
_KEPT_ERRORS: Final = 8192
_END_S: Final = 5.0


class ClientProcess:
    """A program in a process group of its own. Its outputs are read when they have data."""

    def __init__(self, words: Sequence[str]) -> None:
        """Raises:
        ConfigError: it cannot be started.
        """
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigError(f"cannot start {words[0]!r}: {error.strerror}") from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.output = self._process.stdout.fileno()
        self._errors_fd = self._process.stderr.fileno()
        self.open = {self.output, self._errors_fd}
        for fd in self.open:
            os.set_blocking(fd, False)
        self._rest = b""
        self._errors = b""

    def read(self, fd: int) -> list[bytes]:
        """The new data of ``fd``: whole lines, if it is the standard output."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(fd, _READ_BYTES)
            if not data:
                self.open.discard(fd)
        if fd == self._errors_fd:
            self._errors = (self._errors + data)[-_KEPT_ERRORS:]
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll()

    @property
    def ended(self) -> str:
        """How it ended, for people."""
        lines = self._errors.decode(errors="backslashreplace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        said = f"; it wrote: {last}" if last else ""
        return f"the program ended with exit code {self.exit_code}{said}"

    @property
    def errors(self) -> str:
        """The last of its standard error."""
        return self._errors.decode(errors="backslashreplace")

    def terminate(self) -> None:
        """Ask it to end."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End it, whatever it does, and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

"""Starts, watches and ends the processes of one cell."""

from __future__ import annotations

import contextlib
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from pubsub_common.files import last_lines
from pubsub_perf.experiment import interrupts
from pubsub_perf.hosts.interface import HostError, Hosts

_POLL_S: Final = 0.02
# With hundreds of roles a look takes a millisecond, of processors that the roles need.
_POLL_S_PER_ROLE: Final = 0.0005
_TERMINATE_S: Final = 10.0
# After Ctrl-C the user waits at the terminal.
_INTERRUPTED_S: Final = 2.0
_TAIL_LINES: Final = 3
# With less space on the disk, a role cannot write its last message.
_FULL_BYTES: Final = 1024 * 1024


class Role:
    """One console script running on a host, with its own log."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], log: IO[bytes], path: Path
    ) -> None:
        self.name = name
        self.process = process
        self._log = log
        self._path = path

    def failure(self) -> str | None:
        """The reason of its failure in one line; None while it runs, or after success."""
        code = self.process.poll()
        if code in (None, 0):
            return None
        return f"{self.name} ended with {code}: {self.last_words()}"

    def last_words(self) -> str:
        """The end of its log in one line."""
        if lines := last_lines(self._path, _TAIL_LINES):
            return " / ".join(lines)
        left_bytes = shutil.disk_usage(self._path.parent).free
        if left_bytes < _FULL_BYTES:
            return f"(its log {self._path} is empty: {left_bytes:,} bytes left on its disk)"
        return "(its log is empty)"

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._log.close()


class Processes:
    """All roles of a cell. The end of the ``with`` block ends running roles."""

    def __init__(self, hosts: Hosts, folder: Path, logs: Path) -> None:
        """``folder`` is the working directory of roles; ``logs`` gets a file for each role."""
        self._hosts = hosts
        self._folder = folder
        self._logs = logs
        self._roles: list[Role] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        interrupted = error is not None and not isinstance(error, Exception)
        self.end(self._roles, _INTERRUPTED_S if interrupted else _TERMINATE_S)
        for role in self._roles:
            role.close()

    def start(
        self, name: str, host: int, argv: Sequence[str], *, piped: bool = False
    ) -> Role:
        """Run ``argv`` on host ``host``; ``piped``: with pipes instead of a log for its
        standard output."""
        interrupts.check()
        path = self._logs / f"{name}.log"
        log = path.open("wb")
        try:
            process = self._hosts.spawn(
                host, argv, folder=self._folder, log=log, piped=piped
            )
        except BaseException:
            log.close()
            raise
        role = Role(name, process, log, path)
        self._roles.append(role)
        return role

    def pids(self) -> dict[str, int]:
        """The roles' processes by name."""
        return {role.name: role.process.pid for role in self._roles}

    def check(self) -> None:
        """Raises:
        HostError: a role has failed.
        """
        interrupts.check()
        for role in self._roles:
            if (reason := role.failure()) is not None:
                raise HostError(reason)

    def wait_for_line(
        self, roles: Sequence[Role], line: bytes, timeout_s: float
    ) -> None:
        """Wait until each of ``roles`` has printed ``line``.

        Raises:
            HostError: a role failed first, or was silent for too long.
        """
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            for role in roles:
                assert role.process.stdout is not None
                selector.register(role.process.stdout, selectors.EVENT_READ, role)
            while waiting := selector.get_map():
                left_s = deadline - time.monotonic()
                for key, _ in selector.select(min(max(left_s, 0), 1.0)):
                    said = key.data.process.stdout.readline().strip()
                    if said == line:
                        selector.unregister(key.fileobj)
                    elif not said:
                        key.data.process.wait(_TERMINATE_S)
                        break
                self.check()
                if left_s <= 0:
                    silent = [key.data.name for key in waiting.values()]
                    raise HostError(
                        f"{len(silent)} roles were not ready within {timeout_s:g} s: "
                        + ", ".join(silent[:5])
                    )

    def wait(self, roles: Iterable[Role], done: Callable[[], bool]) -> bool:
        """Wait until all of ``roles`` have ended; False if ``done()`` becomes true first.

        Raises:
            HostError: a role has failed.
        """
        waiting = list(roles)
        pause_s = max(_POLL_S, _POLL_S_PER_ROLE * len(self._roles))
        while True:
            waiting = [role for role in waiting if role.process.poll() is None]
            self.check()
            if not waiting:
                return True
            if done():
                return False
            time.sleep(pause_s)

    def end(self, roles: Iterable[Role], patience_s: float = _TERMINATE_S) -> None:
        """Terminate ``roles``, and kill those that still run after ``patience_s``."""
        running = [role for role in roles if role.process.poll() is None]
        for role in running:
            role.process.terminate()
        deadline = time.monotonic() + patience_s
        for role in running:
            try:
                role.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                role.process.kill()
                role.process.wait()

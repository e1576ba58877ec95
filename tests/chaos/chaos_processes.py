"""Processes under test: started, watched, killed, ended; every wait has a deadline."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pubsub_perf.hosts.namespaces import die_with_parent

# Longer than anything takes on the busiest machine; only a failing test waits for it.
WAIT_S: Final = 60.0
HERE: Final = Path(__file__).parent


class Failed(AssertionError):
    """A condition does not hold."""


def wait_for(
    condition: Callable[[], object], what: str, wait_s: float = WAIT_S
) -> None:
    """Return when ``condition`` holds.

    Raises:
        Failed: it did not within ``wait_s`` seconds.
    """
    deadline = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() >= deadline:
            raise Failed(f"{what}: not within {wait_s:g} s")
        time.sleep(0.02)


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """The resources of a process."""

    rss_kib: int
    fds: int


class Process:
    """One process, its standard error in a file."""

    def __init__(self, name: str, argv: Sequence[object], folder: Path) -> None:
        self.name = name
        self.err_path = folder / f"{name}.err"
        self.killed = False
        self.ended = False  # on request
        with self.err_path.open("ab") as err:
            self._popen = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                cwd=folder,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def err(self) -> str:
        return self.err_path.read_text(encoding="utf-8", errors="replace")

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it like a crash."""
        self.killed = True
        self._popen.kill()
        self._popen.wait(WAIT_S)

    def wait(self, wait_s: float = WAIT_S) -> int:
        """The exit code.

        Raises:
            Failed: it did not end.
        """
        try:
            return self._popen.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} hangs: it did not end in {wait_s:g} s") from None

    def end(self) -> None:
        """Ask it to end; it must exit with 0.

        Raises:
            Failed: it did not, or its output shows a bug.
        """
        self.send(signal.SIGTERM)
        self.end_after_term()

    def end_after_term(self) -> None:
        """Like `end`, for a process that was asked already."""
        code = self.wait()
        self.ended = True
        self.check_words()
        if code:
            raise Failed(f"{self.name} ended with {code}: {self.last_words()}")

    def check_runs(self) -> None:
        """Raises:
        Failed: it has ended by itself.
        """
        if not (self.killed or self.ended or self.alive):
            code = self._popen.returncode
            raise Failed(
                f"{self.name} ended by itself with {code}: {self.last_words()}"
            )

    def check_words(self) -> None:
        """Raises:
        Failed: there is a traceback on its standard error.
        """
        if re.search(r"Traceback|Assertion|Exception in thread|core dumped", self.err):
            raise Failed(f"{self.name} said: {self.err[-2000:]}")

    def last_words(self) -> str:
        return " / ".join(self.err.strip().splitlines()[-5:]) or "(nothing)"

    def usage(self) -> Usage:
        """Its current resources."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        rss = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        return Usage(
            rss_kib=int(rss[1]) if rss else 0,
            fds=len(os.listdir(f"/proc/{self.pid}/fd")),  # noqa: PTH208
        )

    def listening_ports(self) -> list[int]:
        """The TCP ports on which it listens."""
        folder = Path(f"/proc/{self.pid}/fd")
        inodes = set()
        for fd in folder.iterdir():
            try:
                link = str(fd.readlink())
            except OSError:  # closed meanwhile
                continue
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
        ports = []
        for line in Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.append(int(fields[1].rpartition(":")[2], 16))
        return sorted(ports)


def script(name: str) -> str:
    """One of our console scripts, in this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def worker(name: str) -> list[str]:
    """The beginning of the command line of a worker of this folder."""
    return [sys.executable, str(HERE / f"{name}.py")]

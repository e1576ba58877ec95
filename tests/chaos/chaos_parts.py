"""The parts of a system, and their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from chaos_logs import PublisherLog, SubscriberLog
from chaos_processes import Failed, Process, Usage, wait_for

# The allowed growth of a process between start and end.
_FDS: Final = 3


class Place(Protocol):
    """The place of the processes."""

    def address(self, host: str) -> str:
        """The IP address of a host."""

    def our_address(self) -> str:
        """The IP address at which all hosts reach this process."""

    def argv(self, host: str, argv: Sequence[object]) -> list[object]:
        """The command line that runs another one on a host."""


class Loopback:
    """All hosts are this machine."""

    def address(self, host: str) -> str:
        return "127.0.0.1"

    def our_address(self) -> str:
        return "127.0.0.1"

    def argv(self, host: str, argv: Sequence[object]) -> list[object]:
        return list(argv)


@dataclasses.dataclass(slots=True)
class Publisher:
    """A worker, and the options for its replacement."""

    process: Process
    log: PublisherLog
    options: dict[str, Any]

    def refresh(self) -> None:
        self.log.refresh()

    @property
    def begun(self) -> bool:
        """Whether a signal ends it normally: earlier, it would die like any process
        without signal handlers."""
        return self.log.session >= 0

    def kill(self) -> None:
        self.log.killed = True
        self.process.kill()


@dataclasses.dataclass(slots=True)
class Subscriber:
    """Like `Publisher`."""

    process: Process
    log: SubscriberLog
    options: dict[str, Any]

    def refresh(self) -> None:
        self.log.refresh()

    @property
    def begun(self) -> bool:
        return self.log.began_ns is not None

    def kill(self) -> None:
        self.process.kill()


class UsageCheck:
    """The resources of processes in a good state, to compare with."""

    def __init__(self, processes: Iterable[Process], more_fds: int = 0) -> None:
        self._more_fds = _FDS + more_fds
        self._before: dict[Process, Usage] = {
            process: process.usage() for process in processes
        }

    def check(self, rss_kib: int) -> None:
        """The running processes have about the same resources.

        Raises:
            Failed: they have more.
        """
        for process, before in self._before.items():
            if not process.alive:
                continue
            # Broken connections are closed a little later.
            limit = before.fds + self._more_fds
            wait_for(
                lambda process=process, limit=limit: process.usage().fds <= limit,  # type: ignore[misc]
                f"{process.name} has no more than {limit} descriptors",
            )
            grown = process.usage().rss_kib - before.rss_kib
            if grown > rss_kib:
                raise Failed(f"{process.name} has {grown} KiB more than at first")

"""What a system consists of, and where it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from chaos_logs import PublisherLog, SubscriberLog
from chaos_processes import Failed, Process, Usage, wait_for

# What a process may hold more at the end than at the beginning.
_FDS: Final = 3


class Place(Protocol):
    """Where the processes run."""

    def address(self, host: str) -> str:
        """The IP address of a host."""

    def our_address(self) -> str:
        """The IP address at which all hosts reach this process."""

    def argv(self, host: str, argv: Sequence[object]) -> list[object]:
        """The command line that runs another one on a host."""


class Loopback:
    """All hosts are this one."""

    def address(self, host: str) -> str:
        return "127.0.0.1"

    def our_address(self) -> str:
        return "127.0.0.1"

    def argv(self, host: str, argv: Sequence[object]) -> list[object]:
        return list(argv)


@dataclasses.dataclass(slots=True)
class Publisher:
    """A worker, and the options with which another one can take its place."""

    process: Process
    log: PublisherLog
    options: dict[str, Any]

    def refresh(self) -> None:
        self.log.refresh()

    @property
    def begun(self) -> bool:
        """Whether a signal ends it in good order: before, it would as any process
        that has not begun to listen to signals."""
        return self.log.session >= 0

    def kill(self) -> None:
        self.log.killed = True
        self.process.kill()


@dataclasses.dataclass(slots=True)
class Subscriber:
    """As `Publisher`."""

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
    """What processes held when all went well, to compare with."""

    def __init__(self, processes: Iterable[Process], more_fds: int = _FDS) -> None:
        self._more_fds = more_fds
        self._before: dict[Process, Usage] = {
            process: process.usage() for process in processes
        }

    def check(self, rss_kib: int) -> None:
        """Those that still run hold about what they held.

        Raises:
            Failed: they do not.
        """
        for process, before in self._before.items():
            if not process.alive:
                continue
            # Connections that were broken off are closed a little later.
            limit = before.fds + self._more_fds
            wait_for(
                lambda process=process, limit=limit: process.usage().fds <= limit,  # type: ignore[misc]
                f"{process.name} has no more than {limit} descriptors",
            )
            grown = process.usage().rss_kib - before.rss_kib
            if grown > rss_kib:
                raise Failed(f"{process.name} has {grown} KiB more than at first")

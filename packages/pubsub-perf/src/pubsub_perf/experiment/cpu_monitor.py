"""Monitors the load of the processors while a cell is measured.

Reads ``/proc``: the pressure of the machine, and the times for which the threads of each role ran
and waited for a processor. Idle percentages of ``/proc/stat`` are not used: tick-based
accounting misses runs shorter than a tick, and roles run for less.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pubsub_perf.experiment.fidelity import MachineLoad

_PROC: Final = Path("/proc")
# Often, because the work of a role between its last sample and its end is missed; but
# sampling hundreds of processes takes tens of milliseconds.
_INTERVAL_S: Final = 0.2
_INTERVAL_S_PER_PROCESS: Final = 0.004


@dataclasses.dataclass(slots=True)
class _Usage:
    """Of one thread or several: nanoseconds running and waiting, time slices."""

    ran_ns: int = 0
    waited_ns: int = 0
    slices: int = 0

    def add(self, later: _Usage, earlier: _Usage) -> None:
        """Add the usage between two samples of one thread."""
        self.ran_ns += later.ran_ns - earlier.ran_ns
        self.waited_ns += later.waited_ns - earlier.waited_ns
        self.slices += later.slices - earlier.slices


_NONE: Final = _Usage()


class CpuMonitor:
    """Between `begin` and `end`, call `sample` often: threads that end in between
    count with their last sample."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """``pids`` are the roles' processes by role name (``subscriber-3``)."""
        self._pids = dict(pids)
        self._interval_s = max(_INTERVAL_S, _INTERVAL_S_PER_PROCESS * len(self._pids))
        # By role name and thread.
        self._first: dict[tuple[str, str], _Usage] = {}
        self._last: dict[tuple[str, str], _Usage] = {}
        self._by_role: dict[str, _Usage] = {}  # in the measured span, after `end`
        self._began = self._ended = self._next_sample = 0.0
        self._stalled_us: tuple[int | None, int | None] = (None, None)

    def begin(self) -> None:
        self._first = self._read()
        self._last = dict(self._first)
        self._began = time.monotonic()
        self._next_sample = self._began + self._interval_s
        self._stalled_us = (_stalled_us(), None)

    def sample(self) -> None:
        """Sample the processes, if a sample is due."""
        if time.monotonic() >= self._next_sample:
            self._last |= self._read()
            self._next_sample = time.monotonic() + self._interval_s

    def end(self) -> None:
        self._last |= self._read()
        self._ended = time.monotonic()
        self._stalled_us = (self._stalled_us[0], _stalled_us())
        self._by_role = {}
        for thread, last in self._last.items():
            usage = self._by_role.setdefault(thread[0], _Usage())
            usage.add(last, self._first.get(thread, _NONE))

    @property
    def elapsed_s(self) -> float:
        """Length of the measured span."""
        return self._ended - self._began

    def load(self) -> MachineLoad:
        """The figures for `pubsub_perf.experiment.fidelity`."""
        elapsed_s = self.elapsed_s
        before, after = self._stalled_us
        pressure = None
        if before is not None and after is not None and elapsed_s > 0:
            pressure = (after - before) / (elapsed_s * 1e6) * 100
        total = _Usage()
        for usage in self._by_role.values():
            total.add(usage, _NONE)
        cpus = os.cpu_count() or 1
        known = bool(self._first) and elapsed_s > 0
        return MachineLoad(
            pressure_percent=None if pressure is None else round(pressure, 2),
            utilisation_percent=(
                round(total.ran_ns / (elapsed_s * 1e9 * cpus) * 100, 2)
                if known
                else None
            ),
            wait_us=(
                round(total.waited_ns / total.slices / 1000, 2)
                if total.slices
                else None
            ),
        )

    def cpu_s(self, role: str) -> float | None:
        """Processor seconds of one role in the measured span; None if it is unknown."""
        usage = self._by_role.get(role)
        return None if usage is None else usage.ran_ns / 1e9

    def _read(self) -> dict[tuple[str, str], _Usage]:
        return {
            (name, thread): usage
            for name, pid in self._pids.items()
            for thread, usage in _threads(pid)
        }


def processor_ns(pid: int) -> int | None:
    """Processor time of a process so far, all threads; None if it has ended or the kernel
    does not report it. Threads that ended earlier are not included."""
    found = [usage.ran_ns for _, usage in _threads(pid)]
    return sum(found) if found else None


def _threads(pid: int) -> Iterator[tuple[str, _Usage]]:
    """The ID and the usage of each running thread. Nothing if the process has ended or the kernel
    does not report it."""
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            ran, waited, slices = map(int, (thread / "schedstat").read_text().split())
        except (OSError, ValueError):  # this thread has ended
            continue
        if slices:
            yield thread.name, _Usage(ran, waited, slices)


def _stalled_us() -> int | None:
    try:
        first = (_PROC / "pressure" / "cpu").read_text().splitlines()[0]
        fields = dict(part.split("=") for part in first.split()[1:])
        return int(fields["total"])
    except (OSError, IndexError, KeyError, ValueError):
        return None

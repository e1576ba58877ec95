"""The systems that are compared, a module each.

A module has `publish` and `subscribe`, which do a whole job in the way that the system's
own documentation advises, and `broker`, which tells how to run its broker.

Shell.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from pubsub_perf.bench.workload.job import Job, JobResult
    from pubsub_perf.bench.workload.job_run import JobRun
    from pubsub_perf.bench.workload.scenario import Scenario

OURS: Final = "pubsub"
OURS_AIO: Final = "pubsub-asyncio"
RAW: Final = "raw"
MODULES: Final = {
    OURS: "pubsub_perf.bench.systems.ours",
    OURS_AIO: "pubsub_perf.bench.systems.ours_aio",
    RAW: "pubsub_perf.bench.systems.raw",
}


class System(Protocol):
    """What a module offers."""

    def unavailable(self, *, brokered: bool) -> str | None:
        """Why it cannot run here, with the command that installs it; else None."""

    def port_names(self) -> tuple[str, ...]:
        """Names of the TCP ports that a run needs."""

    def broker(
        self, ports: dict[str, int], scenario: Scenario, folder: Path
    ) -> list[str] | None:
        """The command of its broker; None when there is none to run. ``folder`` may
        take a configuration file."""

    def publish(self, job: Job, run: JobRun) -> JobResult:
        """Do a publisher's job."""

    def subscribe(self, job: Job, run: JobRun) -> JobResult:
        """Do a subscriber's job."""


def load(name: str) -> System:
    """The module of a system: one of `MODULES`, or any by its dotted name, which the
    processes of a run must find too."""
    system: System = importlib.import_module(MODULES.get(name, name))
    return system

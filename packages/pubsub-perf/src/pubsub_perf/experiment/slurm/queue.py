"""Slurm's report on the tasks of a job."""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_perf.experiment.slurm.script import READY

# Of `squeue`, for each task: the job's own number, the task's number in its array, its state,
# its nodes, its comment.
FORMAT: Final = "%A|%K|%T|%N|%k"
# A task in another state has ended.
_UNDER_WAY: Final = frozenset(
    {
        *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "SIGNALING"),
        *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD"),
        *("SPECIAL_EXIT", "STAGE_OUT", "STOPPED"),
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One task of an array in Slurm's report. ``job`` is the task's own job number. ``folder`` is
    the folder with results on the node, while the task waits until they are fetched."""

    job: str
    index: int
    state: str
    node: str
    folder: str | None

    @property
    def under_way(self) -> bool:
        return self.state in _UNDER_WAY

    @property
    def ready(self) -> bool:
        """Whether it waits until its results are fetched."""
        return self.state == "RUNNING" and self.folder is not None


def parse_tasks(text: str) -> list[Task]:
    """The tasks in what `squeue` prints in this `FORMAT`; other lines are ignored."""
    found = []
    for line in text.splitlines():
        job, _, rest = line.strip().partition("|")
        index, _, rest = rest.partition("|")
        state, _, rest = rest.partition("|")
        node, _, comment = rest.partition("|")
        if job.isdecimal() and index.isdecimal():
            folder = comment.removeprefix(READY) if comment.startswith(READY) else None
            found.append(Task(job, int(index), state, node, folder))
    return found

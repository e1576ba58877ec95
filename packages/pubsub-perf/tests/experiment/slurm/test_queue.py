"""What Slurm says of a job."""

from __future__ import annotations

from pubsub_perf.experiment.slurm.queue import Task, parse_tasks

SAID = """slurm_load_jobs warning: something
3|1|RUNNING|d2|results in /tmp/a|b
2|0|COMPLETED|d1|results in /tmp/c
1|2|PENDING||(null)
4|3|RUNNING|d1|running
9|N/A|RUNNING|d1|(null)
"""


def test_tasks_are_read_with_their_states_and_folders() -> None:
    found = parse_tasks(SAID)

    assert found == [
        Task("3", 1, "RUNNING", "d2", "/tmp/a|b"),
        Task("2", 0, "COMPLETED", "d1", "/tmp/c"),
        Task("1", 2, "PENDING", "", None),
        Task("4", 3, "RUNNING", "d1", None),
    ]
    assert [task.under_way for task in found] == [True, False, True, True]
    # Results of a task that is over are gone.
    assert [task.ready for task in found] == [True, False, False, False]


def test_nothing_said_is_no_task() -> None:
    assert parse_tasks("") == []

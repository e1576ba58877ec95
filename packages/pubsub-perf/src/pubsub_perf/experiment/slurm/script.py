"""The batch script of a job array."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Final

# The default limit of Slurm is 1,001 tasks in an array.
MAX_TASKS: Final = 1000
# How long a task keeps its node until its results are fetched.
KEEP_S: Final = 600
# The comment of a waiting task, which `squeue` shows to everybody.
READY: Final = "results in "
# Files of a task, in its own folder and in the shared one.
RESULTS: Final = "results.tar"
FETCHED: Final = "fetched"
LOG: Final = "log"
SWEEP: Final = "sweep"


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """The work of an array. ``tasks`` are the parts of each task, of ``parts`` in all; ``token``
    is the name of a file in the folder ``shared``, by which a node checks that it sees the same
    folder. ``program`` must have this ``version``."""

    experiment: str
    hosts: str
    tasks: tuple[tuple[int, ...], ...]
    parts: int
    shared: str
    token: str
    program: str
    version: str


def archive_name(token: str, index: int) -> str:
    """The file in the shared folder that has the results of a task."""
    return f"{token}-{index}.tar"


def tasks_of(parts: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """These parts as tasks: one part each, up to the limit of an array."""
    count = min(len(parts), MAX_TASKS)
    return tuple(tuple(parts[index::count]) for index in range(count))


def script(job: Job) -> str:
    """The shell script of a job, which needs no other file."""
    cases = "\n".join(
        f"{index}) parts='{' '.join(map(str, parts))}' ;;"
        for index, parts in enumerate(job.tasks)
    )
    values = {
        "program": job.program,
        "version": job.version,
        "shared": job.shared,
        "token": job.token,
        "hosts": job.hosts,
    }
    settings = "\n".join(
        f"{name}={shlex.quote(value)}" for name, value in values.items()
    )
    end = f"END-{job.token}"
    return f"""\
#!/bin/sh
# An experiment of pubsub-perf: one task of a job array.
{settings}
case $SLURM_ARRAY_TASK_ID in
{cases}
esac
umask 077
# The number of the last task is that of the array as well.
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
scontrol update JobId="$task" Comment="running"
# It came with the user's environment, and may be of the other machine alone.
[ -d "${{TMPDIR:-}}" ] || TMPDIR=/tmp
folder=$(mktemp -d "$TMPDIR/pubsub-perf-XXXXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
mkdir "$folder/out" || exit 1
cat > "$folder/experiment.toml" <<'{end}'
{job.experiment}
{end}
[ -x "$program" ] || program=pubsub-perf

run() {{
    found=$("$program" --version) || return
    if [ "$found" != "$version" ]; then
        echo "$(hostname) has $found, and $version was asked for"
        return 1
    fi
    for part in $parts; do
        "$program" run "$folder/experiment.toml" --hosts "$hosts" \\
            --part "$part/{job.parts}" --out "$folder/out/{SWEEP}" || failed=1
    done
}}

failed=0
run > "$folder/out/{LOG}" 2>&1 < /dev/null || failed=1
tar -C "$folder/out" -cf "$folder/{RESULTS}" . || exit 1
if [ -f "$shared/$token" ]; then
    name=$token-$SLURM_ARRAY_TASK_ID.tar
    cp "$folder/{RESULTS}" "$shared/.$name" && mv "$shared/.$name" "$shared/$name" && exit "$failed"
fi
scontrol update JobId="$task" Comment="{READY}$folder" || exit 1
waited=0
while [ ! -e "$folder/{FETCHED}" ] && [ "$waited" -lt {KEEP_S} ]; do
    sleep 1
    waited=$((waited + 1))
done
[ -e "$folder/{FETCHED}" ] || failed=1
exit "$failed"
"""

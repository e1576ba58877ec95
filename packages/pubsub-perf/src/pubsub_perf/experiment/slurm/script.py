"""The batch script of a job array."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Final

# Arrays have at most 1,001 tasks where a cluster's administrators have not changed it.
MAX_TASKS: Final = 1000
# How long a task keeps its node for results that nobody has fetched.
KEEP_S: Final = 600
# A task says so in its comment, which everybody sees who asks Slurm.
READY: Final = "results in "
# What a task leaves, in the folder that it names, and in the one that it shares with us.
RESULTS: Final = "results.tar"
FETCHED: Final = "fetched"
LOG: Final = "log"
SWEEP: Final = "sweep"


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What an array runs. ``tasks`` are the parts of each task, of ``parts`` in all; ``token``
    is the name of a file in the folder ``shared``, by which a node knows that it sees the same
    folder. ``program`` is run, if it is of this ``version``."""

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
    """These parts as tasks: each is one, as long as an array can have so many."""
    count = min(len(parts), MAX_TASKS)
    return tuple(tuple(parts[index::count]) for index in range(count))


def script(job: Job) -> str:
    """The script of a job: of a shell, and with all that it needs in it."""
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

"""One process of a benchmark run: ``python -m pubsub_perf.bench.worker``.

It reads its job from the first line of standard input. Before each part of its work, of which the
first only warms up, it says ``ready`` and waits for a line. It writes what it found as one line of
JSON.
"""

from __future__ import annotations

import sys

import msgspec

from pubsub_perf.bench import systems
from pubsub_perf.bench.workload.job import Job
from pubsub_perf.bench.workload.job_run import JobRun, say


def main() -> None:
    job = msgspec.json.decode(sys.stdin.readline(), type=Job)
    system = systems.load(job.system)
    work = system.publish if job.part == "publisher" else system.subscribe
    found = work(job, JobRun(job))
    say(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()

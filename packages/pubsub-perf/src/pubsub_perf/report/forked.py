"""Does work in several processes. Each is a copy of this one, so data need not be sent."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from pubsub_common.errors import PubSubError
from pubsub_perf.hosts.namespaces import die_with_parent

Made = TypeVar("Made")

_jobs: Sequence[Callable[[], Any]] = ()


def in_processes(
    jobs: Sequence[Callable[[], Made]],
    processes: int,
    done: Callable[[], None] = lambda: None,
) -> list[Made]:
    """The results of ``jobs``, in their order; they must be able to be pickled. ``done`` is
    called after each. With one process all work is done in this one.

    Raises:
        PubSubError: a process was killed.
    """
    if processes < 2 or len(jobs) < 2:
        made = []
        for job in jobs:
            made.append(job())
            done()
        return made
    try:
        return _in_processes(jobs, min(processes, len(jobs)), done)
    except BrokenProcessPool as error:
        raise PubSubError(
            "a process that draws figures was killed: there may be too little memory"
        ) from error


def _in_processes(
    jobs: Sequence[Callable[[], Made]], processes: int, done: Callable[[], None]
) -> list[Made]:
    executor = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_begin,
        initargs=(jobs,),
    )
    try:
        with warnings.catch_warnings():
            # Threads of linear algebra do no harm: a copy starts its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            waiting = [executor.submit(_run, number) for number in range(len(jobs))]
        for one in as_completed(waiting):
            one.result()
            done()
        return [one.result() for one in waiting]
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(jobs: Sequence[Callable[[], Any]]) -> None:
    global _jobs
    _jobs = jobs
    die_with_parent()
    # Ctrl-C reaches all processes; the first process decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(number: int) -> Any:
    return _jobs[number]()

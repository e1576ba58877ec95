"""Runs one fault on one model, and sums up."""

from __future__ import annotations

import dataclasses
import inspect
import os
import random
import time
from pathlib import Path
from typing import Any

from chaos_faults import Fault, seeded
from chaos_judge import Verdict
from chaos_kinds import PLAIN, Kind
from chaos_parts import Place
from chaos_processes import Failed

from pubsub_common.protocol.messages import Model
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

FULL = "PUBSUB_CHAOS"
SEED = "PUBSUB_CHAOS_SEED"
RECOVER = "PUBSUB_CHAOS_RECOVER"
OUT = "PUBSUB_CHAOS_OUT"
_SHORT_SEED = 1


@dataclasses.dataclass(slots=True)
class Result:
    """A row of the table."""

    fault: str
    kind: str
    model: str
    times: int
    seed: int
    recover: bool
    seconds: float
    published: int
    due: int
    received: int
    recovered: int
    lost: int
    died: int
    unexplained: int
    problems: list[str]


def full() -> bool:
    """Whether to run everything, not only the short form."""
    return os.environ.get(FULL) == "full"


def chosen_seed() -> int:
    """The requested seed, or a new one; the same for the whole run. In the short form
    it is always the same: a change must not fail because of faults that another run
    does not choose."""
    chosen = random.randrange(1_000_000) if full() else _SHORT_SEED
    return int(os.environ.setdefault(SEED, str(chosen)))


def recovery() -> bool:
    """Whether publishers and subscribers can recover events, and should."""
    wanted = os.environ.get(RECOVER)
    if wanted is not None:
        return wanted == "1"
    return (
        "history" in inspect.signature(Publisher).parameters
        and "recover" in inspect.signature(Subscriber).parameters
    )


def run(
    fault: Fault,
    model: Model,
    folder: Path,
    *,
    kind: Kind = PLAIN,
    place: Place | None = None,
    times: int | None = None,
) -> Result:
    """One scenario from beginning to end. The result includes any failure."""
    seed, recover = chosen_seed(), recovery()
    if times is None:
        times = fault.times if full() else fault.quick
    began = time.monotonic()
    problems: list[str] = []
    options: dict[str, Any] = {
        "recover": recover,
        "place": place,
        "kind": kind,
        **fault.system,
    }
    rng = seeded(seed, fault, model, kind)
    with fault.new_system(folder, model, rng, **options) as system:
        verdict = Verdict()
        try:
            fault.begin(system)
            fault.inject(system, times)
            system.usage.check(fault.rss_kib + kind.more_rss_kib)
            verdict = system.finish()
        except Failed as error:
            problems.append(str(error))
            verdict = system.verdict()
            verdict.problems.clear()  # of an interrupted system
        problems += verdict.problems
        if recover and not fault.may_lose and verdict.lost:
            problems.append(f"{verdict.lost} lost in spite of the history")
    return Result(
        fault=fault.name,
        kind=kind.name,
        model=model,
        times=times,
        seed=seed,
        recover=recover,
        seconds=round(time.monotonic() - began, 1),
        published=verdict.published,
        due=verdict.due,
        received=verdict.received,
        recovered=verdict.recovered,
        lost=verdict.lost,
        died=verdict.died,
        unexplained=verdict.unexplained,
        problems=problems,
    )


COLUMNS = {
    "fault": "Fault",
    "kind": "System with",
    "model": "Model",
    "times": "Times",
    "published": "Published",
    "due": "Due",
    "received": "Received",
    "recovered": "of them recovered",
    "lost": "Reported lost",
    "died": "Died with their publisher",
    "unexplained": "Unexplained",
}
_WORDS = ("fault", "kind", "model")


def table(results: list[Result]) -> str:
    """The results in Markdown."""
    rows = [list(COLUMNS.values())]
    rows += [
        [
            f"{value:,}" if isinstance(value, int) else str(value)
            for value in (getattr(result, name) for name in COLUMNS)
        ]
        for result in results
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    right = [name not in _WORDS for name in COLUMNS]

    def line(cells: list[str]) -> str:
        padded = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if to_right else "-" * width
        for width, to_right in zip(widths, right, strict=True)
    ]
    return "\n".join([line(rows[0]), line(rule), *(line(row) for row in rows[1:])])

"""Reads one run of a cell from its folder: samples, counts and verdicts.

Run 1 is in the cell's folder, run r in ``run-<r>`` below it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.files import NotReadable
from pubsub_common.text.printable import printable
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_fields, cell_file
from pubsub_perf.results.cell_fields import Meta
from pubsub_perf.results.cells import (
    DEGRADED,
    UNKNOWN,
    UNKNOWN_MODEL,
    Run,
    SubscriberData,
)
from pubsub_perf.results.latency_file_reader import (
    is_data_name,
    looks_like_a_table,
    read_latencies,
)
from pubsub_perf.results.table_form import TableRefused
from pubsub_perf.results.table_source import TableSource

_NO_DATA: Final = "is left out: it has no latencies"
_NO_SUFFIX: Final = (
    "is left out: it looks like a table; rename it to .csv or .tsv to read it"
)
_NAME: Final = re.compile(r"run-([1-9][0-9]{0,5})")


def labels_of(folder: Path, meta: Meta | None) -> tuple[str, str]:
    """Model and network, from the folder's path, else from ``cell.json``."""
    folder = folder.resolve()
    if run_number(folder) and folder.parent.parent.name in MODELS:
        folder = folder.parent
    if folder.name in MODELS:
        return folder.name, printable(folder.parent.name) or UNKNOWN_MODEL
    network = printable(folder.name) or UNKNOWN_MODEL
    if folder.parent.name in MODELS:
        return folder.parent.name, network
    named = cell_fields.text(meta, "model")
    return named if named in MODELS else UNKNOWN_MODEL, network


def scenario_of(folder: Path, meta: Meta | None) -> str:
    """The scenario of the cell in ``folder``: from ``cell.json``, else the name of the folder
    around the model's folder."""
    if named := cell_fields.text(meta, "scenario"):
        return printable(named)
    around = folder.resolve().parent
    if around.name in MODELS and "=" in around.parent.name:
        return printable(around.parent.name)
    return ""


def total(counts: Sequence[int | None]) -> int | None:
    """The sum, or None unless all counts are known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _rank(run: Run) -> int:
    """A smaller number for a worse verdict."""
    order = (*reversed(DEGRADED), None, "ok")
    return order.index(run.fidelity) if run.fidelity in order else len(DEGRADED)


def worst_of(runs: Sequence[Run]) -> Run:
    """The first run with the worst verdict of fidelity."""
    return min(runs, key=_rank)


def why_worst(worst: Run, runs: Sequence[Run]) -> str | None:
    """The reason of the worst verdict, and the number of runs with it."""
    same = sum(run.fidelity == worst.fidelity for run in runs)
    if len(runs) == 1 or not worst.degraded:
        return worst.fidelity_reason
    of = f"{same} of {len(runs)} runs"
    return f"{of}: {worst.fidelity_reason}" if worst.fidelity_reason else of


def run_number(folder: Path) -> int | None:
    """The r of a folder named ``run-<r>``."""
    match = _NAME.fullmatch(folder.name)
    return int(match[1]) if match else None


def read_run(
    folder: Path,
    entries: list[Path],
    root: Path,
    problems: list[str],
    source: TableSource | None = None,
) -> Run | None:
    """The run in ``folder`` with the content ``entries``, or None. Problems are added to
    ``problems``, with paths relative to ``root``. Files of a run that has not ended are not
    read."""
    name = folder.relative_to(root).as_posix()
    meta, fault = cell_file.read_cell_file(folder / cell_file.NAME, root)
    if cell_fields.text(meta, "outcome") == cell_fields.STARTED:
        return _run(folder, meta, ())
    if fault:
        problems.append(f"{name}/{cell_file.NAME} {fault}")
    files = tuple(_files(entries, root, problems, source or TableSource()))
    if not files and meta is None and not fault:
        return None
    run = _run(folder, meta, files)
    problems += [f"{name}: {text}" for text in _contradictions(run)]
    return run


def _files(
    entries: list[Path], root: Path, problems: list[str], source: TableSource
) -> Iterator[SubscriberData]:
    found = []
    for path in entries:
        if path.is_dir():
            continue
        if not is_data_name(path.name):
            if looks_like_a_table(path, root, source):
                problems.append(f"{path.relative_to(root).as_posix()}: {_NO_SUFFIX}")
            continue
        name = path.relative_to(root).as_posix()
        if not path.exists():
            problems.append(f"{name}: is left out: it is a link to a missing file")
            continue
        try:
            data = read_latencies(path, root, source)
        except TableRefused as error:
            is_text = not (error.numbers or path.suffix)
            why = _NO_DATA if is_text else f"is left out: {error.reason}"
            problems.append(f"{name}: {why}")
            continue
        except NotReadable as error:
            problems.append(f"{name}: is left out: {error.reason}")
            continue
        foreign = data.index is None and not len(data.latencies)
        if foreign and (data.rows or not path.suffix) and not data.unreadable:
            problems.append(f"{name}: {_why_no_data(path, data)}")
            continue
        problems += [f"{name}: {text}" for text in data.problems()]
        found.append(data)
    yield from sorted(found, key=lambda d: (d.index is None, d.index or 0, d.name))


def _why_no_data(path: Path, data: SubscriberData) -> str:
    if not path.suffix:
        return _NO_DATA
    rows = ", ".join(map(str, data.faults))
    return f"is left out: no row has a number where the latency belongs: {rows}"


def _run(folder: Path, meta: Meta | None, files: tuple[SubscriberData, ...]) -> Run:
    received = cell_fields.count(meta, "received")
    if received is None:
        received = sum(file.rows for file in files)
    expected = cell_fields.count(meta, "expected")
    lost = cell_fields.count(meta, "lost")
    if lost is None and expected is not None:
        lost = max(0, expected - received)
    fidelity = cell_fields.text(meta, "fidelity", "verdict")
    fidelity = fidelity or cell_fields.text(meta, "fidelity")
    return Run(
        folder=folder,
        number=run_number(folder) or cell_fields.count(meta, "run") or 1,
        meta=meta,
        files=files,
        expected=expected,
        received=received,
        lost=lost,
        outcome=printable(cell_fields.text(meta, "outcome") or UNKNOWN),
        reason=cell_fields.text(meta, "reason"),
        fidelity=printable(fidelity.strip().lower()) if fidelity else None,
        fidelity_reason=cell_fields.text(meta, "fidelity", "reason"),
    )


def _contradictions(run: Run) -> Iterator[str]:
    """Contradictions between the files and ``cell.json``."""
    indexes = Counter(file.index for file in run.files if file.index is not None)
    for index in sorted(i for i, times in indexes.items() if times > 1):
        yield f"has more than one file of subscriber {index}; all are counted"
    if run.meta is None:
        return
    labels = labels_of(run.folder, run.meta)
    for field, label in zip(("model", "network"), labels, strict=True):
        named = cell_fields.text(run.meta, field)
        if named is not None and named != label:
            yield f"cell.json says {field} {named!r}; the folder's name {label!r} is used"
    rows = sum(file.rows for file in run.files)
    if run.files and rows != run.received:
        yield f"cell.json says {run.received} received; the files hold {rows} events"
    if run.expected is not None and run.expected - run.received != run.lost:
        yield (
            f"in cell.json, {run.expected} expected and {run.received} received "
            f"do not make {run.lost} lost"
        )
    subscribers = run.subscribers
    if not run.failed and len(run.files) < subscribers:
        missing = subscribers - len(run.files)
        yield f"the files of {missing} of {subscribers} subscribers are missing"

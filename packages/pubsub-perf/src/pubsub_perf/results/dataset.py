"""Reads a sweep folder: cells, their runs and samples.

``DIR/data/<centralized|decentralized>/<network>/subscriber-<index>.csv`` with
``cell.json`` beside. Further runs of a cell are in ``run-<r>`` folders in its folder. Where
cells differ in other parameters, ``data`` has a folder for each scenario.
``DIR`` may also be ``data``, the folder of one model or of one network, or any folder
with latency files. Files that do not fit are reported as problems, never skipped
silently.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.text.printable import printable
from pubsub_perf.folder_files import leads_out
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_fields, cell_file
from pubsub_perf.results.cells import (
    FAILED,
    Cell,
    Dataset,
    Run,
    runs_to_pool,
)
from pubsub_perf.results.folder_extent import MAX_DEPTH, check_extent
from pubsub_perf.results.interrupted_runs import ended
from pubsub_perf.results.run_reader import (
    labels_of,
    read_run,
    run_number,
    scenario_of,
    total,
    why_worst,
    worst_of,
)
from pubsub_perf.results.table_source import TableSource

# The seed's names of single switches have another dash.
_HOSTS: Final = re.compile(r"-([0-9]{1,6})-?hosts?\b")
_SIZE: Final = re.compile(r"(-d[0-9]+f[0-9]+)?-[0-9]+-?hosts?.*$")


def read_dataset(
    folder: Path, purpose: str = "plot", source: TableSource | None = None
) -> Dataset:
    """Read every cell in ``folder``. ``purpose`` is a verb for error messages, and
    ``source`` describes tables without clear headers.

    Raises:
        ConfigError: the folder does not exist, has no latencies, or is not a sweep and has
            more files than `folder_extent` allows.
    """
    source = source or TableSource()
    start = check_folder(folder, purpose, source)
    problems: list[str] = []
    found = list(_cells(start, folder, problems, source))
    _check_not_empty(folder, found, purpose, problems)
    problems += _notes(found, folder)
    cells = _in_order(list(_distinct(found, folder)))
    return Dataset(folder, tuple(cells), tuple(map(printable, problems)))


def check_folder(folder: Path, purpose: str, source: TableSource) -> Path:
    """The folder in ``folder`` that `read_dataset` begins with. Commands that load large
    libraries check first.

    Raises:
        ConfigError: the folder does not exist, or is not a sweep and has more files than
            `folder_extent` allows.
    """
    if not folder.is_dir():
        is_file = "is neither a folder nor a pack (pubsub-perf pack)"
        what = is_file if folder.exists() else "does not exist"
        raise ConfigError(f"nothing to {purpose}: {folder} {what}")
    data = folder / "data"
    start = data if data.is_dir() and not leads_out(data, folder) else folder
    if not source.many:
        check_extent(start, folder, purpose)
    return start


def _notes(cells: Sequence[Cell], root: Path) -> Iterator[str]:
    """How files were read, if that is unusual; once for files with the same note."""
    names: dict[str, list[str]] = {}
    for run in (run for cell in cells for run in cell.runs):
        place = run.folder.relative_to(root)
        for file in run.files:
            for note in file.notes:
                names.setdefault(note, []).append((place / file.name).as_posix())
    for note, files in names.items():
        more = f" (as are {len(files) - 1} more)" if len(files) > 1 else ""
        yield f"{files[0]}: {note}{more}"


def _check_not_empty(
    folder: Path, cells: list[Cell], purpose: str, problems: Sequence[str]
) -> None:
    if any(cell.files for cell in cells):
        return
    if not cells:
        usable = "usable " if problems else ""
        why = f"; {problems[0]}" if problems else ""
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ConfigError(
            f"nothing to {purpose}: no {usable}latency files (CSV) in {folder}{why}{more}"
        )
    first = cells[0]
    raise ConfigError(
        f"nothing to {purpose}: no latency files in any of {len(cells)} cells in {folder}; "
        f"{first.model}/{first.network}: {first.outcome}, "
        f"{first.reason or 'no reason recorded'}"
    )


def _in_order(cells: list[Cell]) -> list[Cell]:
    """Sorted by hosts, kind, network and model. The cells of a network are neighbours, even
    with different numbers of hosts."""
    places: dict[str, tuple[float, str]] = {}
    for cell in cells:
        place = (float("inf") if cell.hosts is None else cell.hosts, cell.kind)
        places[cell.network] = min(place, places.get(cell.network, place))
    return sorted(cells, key=lambda c: (places[c.network], c.network, c.model))


def _cells(
    folder: Path,
    root: Path,
    problems: list[str],
    source: TableSource,
    depth: int = 0,
) -> Iterator[Cell]:
    name = folder.relative_to(root).as_posix()
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        problems.append(f"{name}: cannot be read: {error.strerror or error}")
        return
    folders = []
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if leads_out(entry, root):
            where = entry.relative_to(root).as_posix()
            problems.append(f"{where}: is left out: it is a link out of the folder")
        else:
            folders.append(entry)
    first = read_run(folder, entries, root, problems, source)
    runs = [] if first is None else [first]
    further = [e for e in folders if run_number(e)]
    if first is not None or folder.parent.name in MODELS:
        runs += _further_runs(further, root, problems, source)
        folders = [e for e in folders if e not in further]
    if counted := list(ended(runs, root, problems)):
        cell = _cell(folder, sorted(counted, key=lambda run: run.number))
        problems += [f"{name}: {text}" for text in _contradictions(cell)]
        yield cell
    if depth < MAX_DEPTH and (first is None or first.meta is None):
        for entry in folders:
            yield from _cells(entry, root, problems, source, depth + 1)
    if folder.parent.name in MODELS and not (runs or folders):
        problems.append(f"{name}: neither latency files nor {cell_file.NAME}")


def _further_runs(
    folders: Sequence[Path], root: Path, problems: list[str], source: TableSource
) -> Iterator[Run]:
    for folder in folders:
        name = folder.relative_to(root).as_posix()
        try:
            run = read_run(folder, sorted(folder.iterdir()), root, problems, source)
        except OSError as error:
            problems.append(f"{name}: cannot be read: {error.strerror or error}")
            continue
        if run is None:
            problems.append(f"{name}: neither latency files nor {cell_file.NAME}")
        else:
            yield run


def _cell(folder: Path, runs: Sequence[Run]) -> Cell:
    pooled = runs_to_pool(runs)
    files = tuple(file for run in pooled for file in run.files)
    meta = next((run.meta for run in pooled if run.meta is not None), None)
    model, network = labels_of(folder, meta)
    in_name = _HOSTS.search(network)
    hosts = cell_fields.count(meta, "topology", "hosts")
    senders = {publisher for file in files for publisher in file.publishers}
    worst = worst_of(pooled)
    return Cell(
        folder=folder,
        model=model,
        network=network,
        kind=printable(cell_fields.text(meta, "topology", "kind") or _kind(network)),
        hosts=hosts or (int(in_name[1]) if in_name else None),
        publishers=cell_fields.size(meta, "hosts", "publishers")
        or len(senders)
        or None,
        subscribers=max(run.subscribers for run in pooled),
        meta=meta,
        files=files,
        expected=total([run.expected for run in pooled]),
        received=sum(run.received for run in pooled),
        lost=total([run.lost for run in pooled]),
        outcome=pooled[0].outcome,
        reason=pooled[0].reason,
        fidelity=worst.fidelity,
        fidelity_reason=why_worst(worst, pooled),
        runs=tuple(runs),
        scenario=scenario_of(folder, meta),
    )


def _kind(network: str) -> str:
    return _SIZE.sub("", network) or network


def _contradictions(cell: Cell) -> Iterator[str]:
    """Contradictions between the runs of a cell."""
    numbers = Counter(run.number for run in cell.runs)
    for number in sorted(n for n, times in numbers.items() if times > 1):
        yield f"has more than one run {number}; all are counted"
    if len(cell.pooled) < len(cell.runs):
        for run in cell.runs:
            if run.outcome == FAILED:
                why = run.reason or "no reason recorded"
                yield f"run {run.number} failed and is left out: {printable(why)}"
    networks = {cell_fields.text(run.meta, "network") for run in cell.runs} - {None}
    if len(networks) > 1:
        yield f"its runs are of {len(networks)} different networks"


def _distinct(cells: list[Cell], root: Path) -> Iterator[Cell]:
    """Cells with distinct network labels: a label of two cells gets longer. The name of a
    scenario comes before it."""
    times = Counter((cell.scenario, cell.model, cell.network) for cell in cells)
    twice = {(scenario, name) for (scenario, _, name), n in times.items() if n > 1}
    for cell in cells:
        label = cell.network
        if (cell.scenario, label) in twice:
            parts = cell.folder.relative_to(root).parts
            longer = "/".join(p for p in parts if p not in (*MODELS, "data"))
            label = printable(longer or label)
        if cell.scenario and not label.startswith(f"{cell.scenario}/"):
            label = f"{cell.scenario}/{label}"
        yield dataclasses.replace(cell, network=label)

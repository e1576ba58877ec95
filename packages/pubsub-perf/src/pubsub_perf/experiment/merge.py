"""Joins the folders of a sweep's parts into one, like the folder of a sweep on one machine.

All folders are read before the first file is written. If several folders have a cell, a
successful one replaces failed ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from pubsub_common.errors import ConfigError
from pubsub_common.files import NotReadable, read_file, write_atomically
from pubsub_perf.experiment import experiment_copy
from pubsub_perf.experiment.cell_runner import (
    RECORD,
    prepare,
    read_record,
    write_record,
)
from pubsub_perf.experiment.sweep import DATA
from pubsub_perf.folder_files import MAX_RECORD_BYTES, leads_out, make_folder
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import STARTED

_RUN: Final = re.compile(r"run-[0-9]+")
# data/<scenario>/<model>/<network>/run-<r>, and no deeper: a user may give "/".
_MAX_DEPTH: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Merged:
    """The content of a folder after a merge; ``taken`` of its cells are new."""

    cells: int
    failed: int
    taken: int
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Cell:
    """A run's record, and the sweep folder that has it."""

    root: Path
    record: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.record.get("outcome") == "ok"


_Cells = dict[PurePath, _Cell]


def merge(sources: Sequence[Path], out: Path, *, force: bool = False) -> Merged:
    """Copy every cell of the sweeps in ``sources`` into the one in ``out``, which may have
    some already; the sources do not change. With ``force`` their cells replace those in
    ``out``.

    Raises:
        ConfigError: a source is not a sweep, two folders have measured the same cell, cells
            differ in more than model, network and run, or ``out`` cannot be written.
    """
    problems: list[str] = []
    before = _cells_of(out, problems) if (out / DATA).is_dir() else {}
    came: _Cells = {}
    for source in sources:
        found = _cells_of(source, problems)
        if not found:
            raise ConfigError(
                f"{source} is not the folder of a sweep: no {RECORD} in it"
            )
        for place, cell in found.items():
            came[place] = _better(place, came.get(place), cell)
    cells = before | {
        place: cell if force else _better(place, before.get(place), cell)
        for place, cell in came.items()
    }
    _check_alike(cells)
    taken = {
        place: cell
        for place, cell in came.items()
        if cells[place] is not before.get(place)
    }
    for place, cell in taken.items():
        _copy(cell, place, out)
    problems += _copy_experiment(sources, out)
    failed = sum(not cell.ok for cell in cells.values())
    return Merged(len(cells), failed, len(taken), tuple(problems))


def _cells_of(root: Path, problems: list[str]) -> _Cells:
    """The runs that have a record, by their place in the folder."""
    found: _Cells = {}
    for folder in _folders(root / DATA, root):
        if not (folder / RECORD).exists():
            continue
        record = read_record(folder, root)
        if record is None:
            problems.append(f"{folder / RECORD} cannot be read: the cell is left out")
        elif record.get("outcome") == STARTED:
            problems.append(f"{folder} was started and has not ended: it is left out")
        else:
            found[folder.relative_to(root)] = _Cell(root, record)
    return found


def _folders(folder: Path, root: Path, depth: int = 0) -> Iterator[Path]:
    """All folders in this one, and itself; links out of ``root`` are not followed."""
    if depth > _MAX_DEPTH or not folder.is_dir() or leads_out(folder, root):
        return
    yield folder
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith("."):
            yield from _folders(entry, root, depth + 1)


def _better(place: PurePath, there: _Cell | None, cell: _Cell) -> _Cell:
    if there is None or not there.ok:
        return cell
    if cell.ok and there.record != cell.record:
        raise ConfigError(
            f"{there.root / place} and {cell.root / place} are two measurements of one "
            "cell: leave one of the folders out"
        )
    return there


def _check_alike(cells: Mapping[PurePath, _Cell]) -> None:
    """Refuse cells of different sweeps, which cannot be compared, and cells of different
    experiments, which would count as scenarios of one."""
    named: dict[tuple[str, ...], Path] = {}
    for place, cell in cells.items():
        named.setdefault(_axes(place), cell.root / place)
    if len(named) > 1:
        (axes, where), (others, other) = list(named.items())[:2]
        raise ConfigError(
            f"{where} and {other} are cells of different experiments: cells differ in "
            f"{', '.join(axes) or 'nothing'} there, in {', '.join(others) or 'nothing'} here"
        )
    first: dict[PurePath, tuple[Path, dict[str, object]]] = {}
    for place, cell in cells.items():
        if not cell.ok:
            continue
        asked = _conditions(cell.record)
        where, there = first.setdefault(_scenario(place), (cell.root / place, asked))
        different = [
            f"{key} {there.get(key)} and {asked.get(key)}"
            for key in sorted({*there, *asked})
            if there.get(key) != asked.get(key)
        ]
        if different:
            raise ConfigError(
                f"{where} and {cell.root / place} are cells of different sweeps "
                f"({', '.join(different)})"
            )


def _conditions(record: dict[str, Any]) -> dict[str, object]:
    """The parameters that must be equal in all cells of a sweep. The wait factor limits a run
    and does not change it."""
    found = dict(cell_fields.section(record, "parameters"))
    found.pop("wait_factor", None)
    return found | {"hosts": cell_fields.find(record, "hosts", "kind")}


def _scenario(place: PurePath) -> PurePath:
    """The folder of a scenario, in which cells differ only in model, network and run."""
    above = [parent for parent in place.parents if parent.name in MODELS]
    return above[0].parent if above else PurePath(DATA)


def _axes(place: PurePath) -> tuple[str, ...]:
    """The parameters in the name of a cell's scenario."""
    folder = _scenario(place)
    return () if folder.name == DATA else experiment_copy.axes_of(folder.name)


def _copy(cell: _Cell, place: PurePath, out: Path) -> None:
    """Copy a cell. Until the copy is complete, its record has the outcome "started"."""
    folder = out / place
    try:
        make_folder(out, *place.parts)
        write_record(folder, cell.record | {"outcome": STARTED})
        prepare(folder)
        for path in _files(cell.root / place, cell.root):
            target = make_folder(
                folder, *path.relative_to(cell.root / place).parent.parts
            )
            shutil.copyfile(path, target / path.name, follow_symlinks=False)
        write_record(folder, cell.record)
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror or error}"
        ) from error


def _copy_experiment(sources: Sequence[Path], out: Path) -> list[str]:
    """Copy the experiment file of the last source; returns messages about it."""
    texts: dict[bytes, Path] = {}
    for folder in (out, *sources):
        with contextlib.suppress(OSError, NotReadable):
            path = folder / experiment_copy.NAME
            texts[read_file(path, MAX_RECORD_BYTES, within=folder)] = path
    if not texts:
        return []
    (text, path) = list(texts.items())[-1]
    try:
        write_atomically(out / experiment_copy.NAME, text, follow_link=False)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror or error}") from error
    others = [str(other) for other in texts.values() if other != path]
    return [f"{', '.join(others)}: another experiment than {path}"] if others else []


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """The files of a run, without its record and without further runs."""
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or leads_out(entry, root):
            continue
        if entry.is_dir():
            if not _RUN.fullmatch(entry.name):
                yield from _files(entry, root)
        elif entry.is_file() and entry.name != RECORD:
            yield entry

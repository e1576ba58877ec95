"""Loads the results of a sweep for programs and notebooks."""

from __future__ import annotations

import dataclasses
import functools
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pubsub_common.text.counted import counted
from pubsub_perf.results.cells import Dataset
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.table import Column, Table, joined
from pubsub_perf.results.table_source import TableSource
from pubsub_perf.results.tables import (
    NO_EVENTS,
    cells_table,
    events_table,
    runs_table,
)
from pubsub_perf.results.unpacking import PREFIX, is_pack, naming_the_pack, unpack


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """The content of a folder or a pack as tables of numpy arrays. ``problems`` are sentences
    about faults in the data: nothing is left out silently."""

    dataset: Dataset

    def __repr__(self) -> str:
        cells = self.dataset.cells
        counts = (
            counted(len(cells), "cell"),
            counted(sum(len(cell.runs) for cell in cells), "run"),
            counted(len({c.scenario for c in cells}), "scenario"),
            counted(len(self.problems), "problem"),
        )
        return f"<Results {self.name!r}: {', '.join(counts)}>"

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.dataset.folder.resolve().name

    @property
    def problems(self) -> tuple[str, ...]:
        return self.dataset.problems

    @functools.cached_property
    def cells(self) -> Table:
        """One row for each cell (a model on a network), over all its runs."""
        return cells_table(self.dataset)

    @functools.cached_property
    def runs(self) -> Table:
        """One row for each run."""
        return runs_table(self.dataset)

    def events(self, **where: object) -> Table:
        """One row for each event of the runs with these values in columns of
        `runs`: ``events(model="centralized", run=1)``. Without values, of all runs.

        Raises:
            ConfigError: `runs` has no such column.
        """
        return joined([NO_EVENTS, *self.events_by_run(**where)])

    def events_by_run(self, **where: object) -> Iterator[Table]:
        """Like `events`, but one table for each run, read on demand, for events that do not
        all fit into memory.

        Raises:
            ConfigError: `runs` has no such column.
        """
        places = Table({**self.runs, "": np.arange(self.runs.rows)}).where(**where)[""]
        return self._events_of(places)

    def _events_of(self, places: Column) -> Iterator[Table]:
        # Not an expression: the files exist as long as a caller holds the results.
        pairs = [(cell, run) for cell in self.dataset.cells for run in cell.runs]
        for place in places:
            yield events_table(*pairs[place])


def load(
    path: str | Path,
    *,
    column: str | None = None,
    unit: str | None = None,
    delimiter: str | None = None,
    many: bool = False,
) -> Results:
    """The results in a folder of a sweep, in a pack (``pubsub-perf pack``), or in any folder
    with latency files.

    For tables without clear headers: the ``column`` of latencies, by
    name or by number from 1, its ``unit`` (s, ms, us or ns), and the ``delimiter``. With
    ``many``, a folder that is not a sweep may have any number of files.

    Raises:
        ConfigError: there are no results, or they cannot be read.
    """
    source = TableSource.of(column, unit, delimiter, many=many)
    return load_tables(Path(path), source, "load")


def load_tables(path: Path, source: TableSource, purpose: str) -> Results:
    """Like `load`; ``purpose`` is a verb for error messages.

    Raises:
        ConfigError: there are no results, or they cannot be read.
    """
    if not is_pack(path):
        return Results(read_dataset(path, purpose, source))
    place = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with naming_the_pack(path, place):
            results = Results(read_dataset(unpack(path, place), purpose, source))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    # Details of events are read on demand, so the files stay as long as the results.
    weakref.finalize(results, shutil.rmtree, place, ignore_errors=True)
    return results

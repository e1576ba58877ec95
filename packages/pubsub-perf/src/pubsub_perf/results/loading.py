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

from pubsub_perf.results.cells import Dataset
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.packs import is_pack, unpack
from pubsub_perf.results.table import Column, Table, joined
from pubsub_perf.results.tables import (
    NO_EVENTS,
    cells_table,
    events_table,
    runs_table,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """What a folder or a pack holds, as tables of numpy arrays. ``problems`` is what is
    wrong with it, a sentence each: nothing is left out in silence."""

    dataset: Dataset

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.dataset.folder.resolve().name

    @property
    def problems(self) -> tuple[str, ...]:
        return self.dataset.problems

    @functools.cached_property
    def cells(self) -> Table:
        """One row for each cell (a model on a network), its runs together."""
        return cells_table(self.dataset)

    @functools.cached_property
    def runs(self) -> Table:
        """One row for each run."""
        return runs_table(self.dataset)

    def events(self, **where: object) -> Table:
        """One row for each event of the runs with these values, which are of columns of
        `runs`: ``events(model="centralized", run=1)``. Without any, of all runs.

        Raises:
            ConfigError: `runs` has no such column.
        """
        return joined([NO_EVENTS, *self.events_by_run(**where)])

    def events_by_run(self, **where: object) -> Iterator[Table]:
        """As `events`, a table for each run, each read when it is asked for: where all of
        them do not fit into memory.

        Raises:
            ConfigError: `runs` has no such column.
        """
        places = Table({**self.runs, "": np.arange(self.runs.rows)}).where(**where)[""]
        return self._events_of(places)

    def _events_of(self, places: Column) -> Iterator[Table]:
        # Not an expression: the files are there as long as something holds the results.
        pairs = [(cell, run) for cell in self.dataset.cells for run in cell.runs]
        for place in places:
            yield events_table(*pairs[place])


def load(path: str | Path) -> Results:
    """The results in a folder of a sweep, in a pack (``pubsub-perf pack``), or in any folder
    with latency files.

    Raises:
        ConfigError: there are none.
    """
    path = Path(path)
    if not is_pack(path):
        return Results(read_dataset(path, "load"))
    place = Path(tempfile.mkdtemp(prefix="pubsub-pack-"))
    try:
        results = Results(read_dataset(unpack(path, place), "load"))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    # Details of events are read on demand, so the files stay as long as the results.
    weakref.finalize(results, shutil.rmtree, place, ignore_errors=True)
    return results

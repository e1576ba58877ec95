"""The values in a sweep folder: cells, their runs, and the events that subscribers received."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pubsub_common.text.printable import printable
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN_MODEL: Final = "data"
FAILED: Final = "failed"
# The outcome of a run without a record.
UNKNOWN: Final = "unknown"
DEGRADED: Final = ("strained", "saturated")
NO_RULE: Final = "none"

Fault = Literal["blank row", "row without latency", "NaN", "infinity", "broken row"]

_PLURAL: Final[dict[Fault, str]] = {
    "blank row": "blank rows",
    "row without latency": "rows without latency",
    "NaN": "NaNs",
    "infinity": "infinities",
    "broken row": "broken rows",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Faults:
    """Rows of one file that are not latencies: their number, and the line of the first."""

    fault: Fault
    rows: int
    first_line: int

    def __str__(self) -> str:
        if self.rows == 1:
            return f"1 {self.fault} (line {self.first_line})"
        return f"{self.rows} {_PLURAL[self.fault]} (first in line {self.first_line})"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class SubscriberData:
    """The events that one subscriber received. ``latencies`` are seconds in order of receipt,
    all finite, also values of 0 or less. ``index`` is None if the file is not
    named ``subscriber-<index>``. ``stream_of`` is the index of each latency's stream
    (publisher, topic) in ``streams``, and ``row_of`` its row in the file, without
    header and blank rows; both may be empty. Publisher and topic are empty if the file
    lacks them. ``notes``: how the file was read, if that is unusual."""

    name: str
    index: int | None
    publishers: tuple[str, ...]
    topics: tuple[str, ...]
    latencies: NDArray[np.float64]
    faults: tuple[Faults, ...] = ()
    header: tuple[str, ...] | None = None
    unreadable: str | None = None
    notes: tuple[str, ...] = ()
    streams: tuple[tuple[str, str], ...] = ()
    stream_of: NDArray[np.int32] = dataclasses.field(
        default_factory=lambda: np.empty(0, dtype=np.int32)
    )
    row_of: NDArray[np.int64] = dataclasses.field(
        default_factory=lambda: np.empty(0, dtype=np.int64)
    )

    @property
    def rows(self) -> int:
        """Events in the file: rows with or without a usable latency, not blank ones."""
        unusable = sum(f.rows for f in self.faults if f.fault != "blank row")
        return len(self.latencies) + unusable

    @property
    def not_positive(self) -> int:
        """The number of latencies of 0 or less, which show a clock fault."""
        return int(np.count_nonzero(self.latencies <= 0))

    def problems(self) -> list[str]:
        """Faults of this file that readers of the statistics must know."""
        found = []
        if self.unreadable is not None:
            found.append(f"cannot be read to its end: {self.unreadable}")
        elif not self.rows:
            found.append("holds no events")
        if self.faults:
            kinds = ", ".join(map(str, self.faults))
            found.append(f"{kinds}: kept out of the statistics")
        if self.not_positive:
            values = "value" if self.not_positive == 1 else "values"
            found.append(f"{self.not_positive} {values} of 0 s or less: kept")
        return found


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The results of one run. ``files`` are ordered by subscriber index. None means not
    counted."""

    folder: Path
    number: int
    meta: Meta | None
    files: tuple[SubscriberData, ...]
    expected: int | None
    received: int
    lost: int | None
    outcome: str
    reason: str | None
    fidelity: str | None
    fidelity_reason: str | None

    @property
    def subscribers(self) -> int:
        return (
            cell_fields.size(self.meta, "hosts", "subscribers")
            or cell_fields.size(self.meta, "subscribers")
            or len(self.files)
        )

    @property
    def failed(self) -> bool:
        return self.outcome == FAILED

    @property
    def degraded(self) -> bool:
        """The emulation could not keep up, so latencies say more about the machine."""
        return self.fidelity in DEGRADED


def runs_to_pool(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The successful runs; all runs if every run failed."""
    return tuple(run for run in runs if not run.failed) or tuple(runs)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One model on one network. Files, counts and verdict cover all successful runs
    (all runs if every run failed). ``files`` are
    ordered by run and subscriber index, and ``meta`` is from the first run. None means not
    counted. ``kind`` is the network's kind, such as ``tree``; ``scenario`` names
    the parameters in which the cells of one experiment differ, and is empty if none
    differs."""

    folder: Path
    model: str
    network: str
    kind: str
    hosts: int | None
    publishers: int | None
    subscribers: int
    meta: Meta | None
    files: tuple[SubscriberData, ...]
    expected: int | None
    received: int
    lost: int | None
    outcome: str
    reason: str | None
    fidelity: str | None
    fidelity_reason: str | None
    runs: tuple[Run, ...] = ()
    scenario: str = ""

    @property
    def pooled(self) -> tuple[Run, ...]:
        """The runs that the cell's files and counts cover."""
        return runs_to_pool(self.runs)

    @property
    def latencies(self) -> NDArray[np.float64]:
        """The samples of all subscribers in seconds, one file after the other, with
        the warm-up."""
        if not self.files:
            return np.empty(0)
        return np.concatenate([file.latencies for file in self.files])

    @property
    def failed(self) -> bool:
        return self.outcome == FAILED

    @property
    def degraded(self) -> bool:
        """The emulation could not keep up, so latencies say more about the machine."""
        return self.fidelity in DEGRADED


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """All cells of a folder, or those of its ``scenario``, by hosts, network and model; and
    the problems in it."""

    folder: Path
    cells: tuple[Cell, ...]
    problems: tuple[str, ...]
    scenario: str = ""

    @property
    def title(self) -> str:
        """The name of the folder, and of the scenario."""
        name = self.folder.resolve().name
        return printable(f"{name}: {self.scenario}" if self.scenario else name)

"""Tables of a dataset: one row for each cell, for each run, or for each event of a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta
from pubsub_perf.results.cells import Cell, Dataset, Run
from pubsub_perf.results.summarise_cell import summary_of
from pubsub_perf.results.summary_statistics import SummaryStatistics, statistics_of
from pubsub_perf.results.table import Column, Table, joined
from pubsub_perf.results.warmup import details_of, steady

# For whole numbers without a record: these columns have no NaN.
NOT_RECORDED: Final = -1
_PARAMETER: Final = "parameters_"


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnText:
    """A column's name and description."""

    name: str
    text: str


_LABELS: Final = (
    ColumnText("scenario", "the cell's scenario; empty if there is only one"),
    ColumnText("model", "`centralized` or `decentralized`; `data` if not recorded"),
    ColumnText("network", "the network's name"),
    ColumnText("kind", "the kind of network, such as `tree`"),
    ColumnText("hosts", "number of hosts"),
    ColumnText("publishers", "number of publishers"),
    ColumnText("subscribers", "number of subscribers"),
)
_FATES: Final = (
    ColumnText("outcome", "`ok`, `failed`, or `unknown` if not recorded"),
    ColumnText("reason", "reason of the failure"),
    ColumnText("fidelity", "`ok`, `strained` or `saturated`: the machine's state"),
    ColumnText("expected", "events expected, with the warm-up"),
    ColumnText("received", "events received, with the warm-up"),
    ColumnText("lost", "events lost, with the warm-up"),
    ColumnText("warmup", "events of the warm-up, which statistics leave out"),
)
_STATISTICS: Final = (
    ColumnText("count", "number of latencies in the statistics"),
    *(
        ColumnText(f"{name}_s", f"{text} of the latencies, in seconds")
        for name, text in (
            ("min", "minimum"),
            ("p25", "percentile 25"),
            ("p50", "median"),
            ("p75", "percentile 75"),
            ("p90", "percentile 90"),
            ("p99", "percentile 99, from 100 latencies on,"),
            ("p999", "percentile 99.9, from 1,000 latencies on,"),
            ("max", "maximum"),
            ("mean", "mean"),
        )
    ),
)
_PARAMETERS: Final = ColumnText(
    f"{_PARAMETER}*", "a column for each of `parameters` in `cell.json`"
)
_RUN: Final = ColumnText("run", "number of the run, from 1")
CELL_COLUMNS: Final = (
    *_LABELS,
    ColumnText("runs", "number of runs; the columns below leave out failed runs"),
    *_FATES,
    *_STATISTICS,
    _PARAMETERS,
)
RUN_COLUMNS: Final = (
    *_LABELS,
    _RUN,
    ColumnText("started", "start of the run"),
    ColumnText("machine", "name of the machine"),
    ColumnText("commit", "commit of pubsub-perf, if it ran from a repository"),
    *_FATES,
    *_STATISTICS,
    _PARAMETERS,
)
EVENT_COLUMNS: Final = (
    *_LABELS[:3],
    _RUN,
    ColumnText("subscriber", "name of the subscriber's file, such as `subscriber-0`"),
    ColumnText("publisher", "the publisher's address"),
    ColumnText("topic", "the topic"),
    ColumnText("latency_s", "one-way latency in seconds"),
    ColumnText("warmup", "whether the event is a warm-up event"),
    ColumnText("sequence", "number in the stream, from 0; -1 if not recorded"),
    ColumnText("published_ns", "time of sending, in ns; -1 if not recorded"),
    ColumnText("received_ns", "time of receipt, in ns; -1 if not recorded"),
)
# Without a record these are an empty text; other columns are NaN.
_TEXTS: Final = {
    *("scenario", "model", "network", "kind", "outcome", "reason", "fidelity"),
    *("started", "machine", "commit"),
}


def cells_table(dataset: Dataset) -> Table:
    """One row for each cell, all its runs together, in the order of reports."""
    return _table(CELL_COLUMNS, [(_of_cell(c), c.meta) for c in dataset.cells])


def runs_table(dataset: Dataset) -> Table:
    """One row for each run, also for failed runs."""
    rows = [(_of_run(c, r), r.meta) for c in dataset.cells for r in c.runs]
    return _table(RUN_COLUMNS, rows)


def events_table(cell: Cell, run: Run) -> Table:
    """One row for each latency of a run, in order of subscribers and of receipt."""
    left = steady(run)
    parts = []
    for number, file in enumerate(run.files):
        size = len(file.latencies)
        known, _ = details_of(run, file)
        details = np.full((size, 3), NOT_RECORDED) if known is None else known
        streams = np.array(file.streams or [("", "")], dtype=object).reshape(-1, 2)
        stream_of = (
            file.stream_of if len(file.stream_of) == size else np.zeros(size, np.int32)
        )
        kept = left.kept[number] if left.kept else np.ones(size, dtype=np.bool_)
        values: dict[str, Column] = {
            "scenario": _same(cell.scenario, size),
            "model": _same(cell.model, size),
            "network": _same(_network(cell), size),
            "run": np.full(size, run.number, dtype=np.int64),
            "subscriber": _same(file.name, size),
            "publisher": streams[stream_of, 0],
            "topic": streams[stream_of, 1],
            "latency_s": file.latencies,
            "warmup": ~kept,
            "sequence": details[:, 0],
            "published_ns": details[:, 1],
            "received_ns": details[:, 2],
        }
        parts.append(values)
    return joined([NO_EVENTS, *map(Table, parts)])


_DTYPES: Final[Mapping[str, type]] = {
    "run": np.int64,
    "latency_s": np.float64,
    "warmup": np.bool_,
    "sequence": np.int64,
    "published_ns": np.int64,
    "received_ns": np.int64,
}
NO_EVENTS: Final = Table(
    {c.name: np.empty(0, dtype=_DTYPES.get(c.name, object)) for c in EVENT_COLUMNS}
)


def _same(text: str, size: int) -> Column:
    # All rows share one text.
    column = np.empty(size, dtype=object)
    column[:] = text
    return column


def _of_cell(cell: Cell) -> dict[str, object]:
    summary = summary_of(cell)
    return {
        **_labels(cell),
        "runs": len(cell.runs),
        **_fates(cell),
        "warmup": summary.warmup,
        **_statistics(summary.statistics),
    }


def _of_run(cell: Cell, run: Run) -> dict[str, object]:
    left = steady(run)
    return {
        **_labels(cell),
        "subscribers": run.subscribers,
        "run": run.number,
        "started": cell_fields.text(run.meta, "started"),
        "machine": cell_fields.text(run.meta, "machine", "host"),
        "commit": cell_fields.text(run.meta, "commits", "pubsub"),
        **_fates(run),
        "warmup": left.left_out,
        **_statistics(statistics_of(left.latencies)),
    }


def _labels(cell: Cell) -> dict[str, object]:
    labels = {each.name: getattr(cell, each.name) for each in _LABELS}
    return labels | {"network": _network(cell)}


def _network(cell: Cell) -> str:
    """The network's name, without the scenario's, which has its own column."""
    return cell.network.removeprefix(f"{cell.scenario}/")


def _fates(of: Cell | Run) -> dict[str, object]:
    names = [each.name for each in _FATES if each.name != "warmup"]
    return {name: getattr(of, name) for name in names}


def _statistics(found: SummaryStatistics) -> dict[str, object]:
    return {each.name: getattr(found, each.name) for each in _STATISTICS}


def _table(
    columns: Sequence[ColumnText], rows: Sequence[tuple[dict[str, object], Meta | None]]
) -> Table:
    made: dict[str, Column] = {}
    for name in (each.name for each in columns if each != _PARAMETERS):
        make: Callable[[Sequence[object]], Column] = (
            _texts if name in _TEXTS else _values
        )
        made[name] = make([row[name] for row, _ in rows])
    sections = [cell_fields.section(meta, "parameters") for _, meta in rows]
    for name in sorted({name for section in sections for name in section}):
        made[_PARAMETER + name] = _values([section.get(name) for section in sections])
    return Table(made)


def _texts(values: Sequence[object]) -> Column:
    found = (
        "" if v is None else v if isinstance(v, str) else _as_text(v) for v in values
    )
    return np.fromiter(found, dtype=object, count=len(values))


def _as_text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _values(values: Sequence[object]) -> Column:
    """Numbers and booleans unchanged, other values as text."""
    kinds = {type(value) for value in values if value is not None}
    whole = not any(value is None for value in values)
    if kinds == {bool} and whole:
        return np.array(values, dtype=np.bool_)
    if kinds == {int} and whole and all(abs(v) < 2**63 for v in values):  # type: ignore[arg-type]
        return np.array(values, dtype=np.int64)
    if kinds <= {int, float}:
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    return _texts(values)

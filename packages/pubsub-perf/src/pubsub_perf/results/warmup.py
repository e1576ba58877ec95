"""Decides which events of a run are warm-up, and leaves them out.

The rule is named in ``cell.json``; nothing is ever removed from the files:

- ``{"rule": "fixed", "events": k}``: sequence numbers 0 to k - 1 of every stream;
- ``{"rule": "mser5"}``: the events published before the cut that `mser5` finds in the
  run's latencies by time of publication.

Both need ``events/subscriber-<i>.csv.gz``. If it is missing or does not match, nothing
is left out, and a note says so.
"""

from __future__ import annotations

import dataclasses
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.files import NotReadable
from pubsub_perf.results import cell_fields, event_details_reader
from pubsub_perf.results.cells import NO_RULE, Run, SubscriberData

_BATCH: Final = 5
# The mean of fewer batches has a too small error: a known weakness of MSER.
_MIN_REST: Final = 5

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """The latencies that statistics count, in seconds. ``left_out`` events were
    warm-up by ``rule``, with an explaining ``note``. ``kept`` marks these latencies in each
    file; empty if all count. ``span_s``: from
    the first to the last publication, if known."""

    latencies: Floats
    left_out: int
    rule: str
    note: str | None = None
    kept: tuple[NDArray[np.bool_], ...] = ()
    span_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """``kept_from``: the number of values before the cut. ``capped``: the rule asked
    for more than half of them: the run is too short for its warm-up."""

    kept_from: int
    capped: bool


def steady(run: Run) -> Steady:
    """The run's latencies without its warm-up, one file after the other."""
    every = [file.latencies for file in run.files]
    rule = cell_fields.text(run.meta, "warmup", "rule") or NO_RULE
    first = cell_fields.count(run.meta, "warmup", "events") or 0
    if rule == NO_RULE or (rule == "fixed" and not first):
        return Steady(_joined(every), 0, NO_RULE)
    named = f"first {first} of each stream" if rule == "fixed" else rule
    if rule not in ("fixed", "mser5"):
        return Steady(
            _joined(every), 0, named, f"no warm-up left out: unknown rule {rule!r}"
        )
    tables = []
    for file in run.files:
        table, why = details_of(run, file)
        if table is None:
            return Steady(_joined(every), 0, named, f"no warm-up left out: {why}")
        tables.append(table)
    if rule == "fixed":
        kept = [table[:, 0] >= first for table in tables]
        return _steady(every, tables, kept, named, None)
    return _after_cut(every, tables, named)


def mser5(series: Floats) -> Cut:
    """White's MSER-5: leave out the first batches of 5 values, so that the squared standard
    error of the mean of the rest is smallest; at most half."""
    count = len(series) // _BATCH
    if count <= _MIN_REST:
        return Cut(0, capped=False)
    means = series[: count * _BATCH].reshape(count, _BATCH).mean(axis=1)
    rest = np.arange(count, 0, -1)
    # Sums over means[d:] for each d; centred first for precision.
    centred = means - means.mean()
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    errors = (squares - sums**2 / rest) / rest**2
    best = int(np.argmin(errors[: count - _MIN_REST + 1]))
    return Cut(min(best, count // 2) * _BATCH, capped=best > count // 2)


def details_of(
    run: Run, file: SubscriberData
) -> tuple[NDArray[np.int64] | None, str | None]:
    """Sequence number, time of publication and time of receipt of each latency of a file,
    as columns; or the reason why there are none."""
    path = run.folder / event_details_reader.FOLDER / f"{file.name}.csv.gz"
    name = f"{event_details_reader.FOLDER}/{path.name}"
    try:
        table = event_details_reader.read_table(path, run.folder)
    except FileNotFoundError:
        return None, f"there is no {name}"
    except NotReadable as error:
        return None, f"{name} is left out: {error.reason}"
    except (OSError, EOFError, ValueError, zlib.error) as error:
        return None, f"{name} cannot be read: {error}"
    if len(table) != file.rows:
        return None, f"{name} has {len(table)} events, the data file {file.rows}"
    return table[file.row_of], None


def _after_cut(
    every: list[Floats], tables: list[NDArray[np.int64]], rule: str
) -> Steady:
    published = np.concatenate([np.empty(0, np.int64), *(t[:, 1] for t in tables)])
    if not len(published):
        return Steady(_joined(every), 0, rule)
    order = np.argsort(published, kind="stable")
    cut = mser5(_joined(every)[order])
    begin_ns = published[order[cut.kept_from]]
    note = "MSER-5 asked for more than half of the run: too short for its warm-up"
    kept = [table[:, 1] >= begin_ns for table in tables]
    return _steady(every, tables, kept, rule, note if cut.capped else None)


def _steady(
    every: list[Floats],
    tables: list[NDArray[np.int64]],
    kept: list[NDArray[np.bool_]],
    rule: str,
    note: str | None,
) -> Steady:
    latencies = _joined([x[keep] for x, keep in zip(every, kept, strict=True)])
    left_out = sum(map(len, every)) - len(latencies)
    if not len(latencies) and left_out:
        note = "no warm-up left out: the rule would leave nothing"
        return Steady(_joined(every), 0, rule, note)
    published = [t[keep, 1] for t, keep in zip(tables, kept, strict=True) if keep.any()]
    span_s = None
    if published:
        span_ns = max(map(np.max, published)) - min(map(np.min, published))
        span_s = float(span_ns) / 1e9
    return Steady(latencies, left_out, rule, note, tuple(kept), span_s)


def _joined(parts: list[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *parts])

"""The results of a cell for people: a small table, and a line for each bar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_perf.bench.in_turn.bars import BarResult
from pubsub_perf.bench.in_turn.results import Row
from pubsub_perf.bench.targets import Metric

UNITS: Final[dict[Metric, str]] = {
    "rate": "events/s",
    "p50_us": "p50 felt, us",
    "p99_us": "p99 felt, us",
    "inside_p50_us": "p50 inside, us",
    "inside_p99_us": "p99 inside, us",
    "cpu_s_per_million": "CPU s per million",
}
# Where the ratio to the reference is shown, too: it takes room.
_WITH_RATIO: Final = ("rate", "p50_us", "cpu_s_per_million")


def table_of(rows: Sequence[Row]) -> Iterator[str]:
    """The rows of one cell as aligned lines: a line for each system, a column for each metric,
    with the ratio to the reference and its range."""
    first = rows[0]
    names = list(first.failed)
    columns = [["", *(line_name(first, name) for name in names)]]
    for row in rows:
        columns.append([UNITS[row.metric], *(_value(row, name) for name in names)])
        if row.metric in _WITH_RATIO:
            columns.append(
                [f"/ {row.reference}", *(_ratio(row, name) for name in names)]
            )
    widths = [max(map(len, column)) for column in columns]
    yield first.cell.name
    for cells in zip(*columns, strict=True):
        name, *others = cells
        texts = [name.ljust(widths[0])]
        texts += [
            text.rjust(width) for text, width in zip(others, widths[1:], strict=True)
        ]
        yield ("  " + "  ".join(texts)).rstrip()


def line_name(row: Row, name: str) -> str:
    """A line's name, with what went wrong in it."""
    wrong = [
        f"{count:,} {what}"
        for what, count in (
            ("LOST", row.lost.get(name)),
            ("FAILED", row.failed.get(name)),
        )
        if count
    ]
    return f"{name} ({', '.join(wrong)})" if wrong else name


def line_of(found: BarResult) -> str:
    """How a bar came out."""
    sign = ">=" if found.metric == "rate" else "<="
    ratio = found.ratio
    lost = f", {found.lost:,} LOST" if found.lost else ""
    return (
        f"bar {found.bar} {'met ' if found.met else 'MISS'} {ratio.median:5.2f} "
        f"({ratio.lowest:.2f} to {ratio.highest:.2f}) {sign} {found.bound:.2f}  "
        f"{found.line} / {found.against}, {UNITS[found.metric]}, {found.cell}{lost}"
    )


def _value(row: Row, name: str) -> str:
    value = row.values.get(name)
    if value is None:
        return ""
    return f"{value.median:,.{0 if row.metric == 'rate' else 1}f}"


def _ratio(row: Row, name: str) -> str:
    ratio = row.ratios.get(name)
    if ratio is None or name == row.reference:
        return ""
    return f"{ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})"

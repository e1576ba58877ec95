"""The texts of the figure of latency against hosts."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.analysis.values.results import (
    Analysis,
    CellResult,
    GrowthResult,
    ShapeFit,
)
from pubsub_perf.plots.text_layout import shortened, wrap

_TITLE_IN: Final = 3.1
_MAX_NAME: Final = 24
_DEGRADED: Final = ("strained", "saturated")


def chosen(growth: GrowthResult) -> ShapeFit:
    """The shape that is drawn: the decided one, or the best."""
    return next(
        (s for s in growth.shapes if s.name == growth.decided), growth.shapes[0]
    )


def curve_of(growth: GrowthResult) -> tuple[list[float], list[float]]:
    """Hosts and latencies (s) of the line through the cells: the chosen shape's, or from
    size to size where no shape fits."""
    if not growth.no_shape:
        points = chosen(growth).curve
        return [p.hosts for p in points], [p.latency_s for p in points]
    sizes = sorted({point.hosts for point in growth.points})
    middles = [
        statistics.median(p.median_s for p in growth.points if p.hosts == hosts)
        for hosts in sizes
    ]
    return [float(hosts) for hosts in sizes], middles


def _said(fit: GrowthResult) -> str:
    if fit.no_shape:
        return "no shape fits"
    return f"{chosen(fit).name} ({'decided' if fit.decided else 'best, not decided'})"


def title(kind: str, summary_of: str, fits: Sequence[GrowthResult]) -> str:
    """The title of one panel: its content, and the fitted shapes."""
    lines = [f"{shortened(kind, _MAX_NAME)}, {summary_of}"]
    for fit in fits:
        lines.append(wrap(f"{fit.model}: {_said(fit)}", _TITLE_IN, 9.0))
    return "\n".join(lines)


def degraded(cell: CellResult) -> bool:
    """Whether the machine could not keep up in some run."""
    return any(run.fidelity in _DEGRADED for run in cell.runs)


def alone(cells: Sequence[CellResult], kinds: Sequence[str]) -> list[str]:
    """A sentence on cells that are the only size of their kind."""
    names = dict.fromkeys(cell.network for cell in cells if cell.kind not in kinds)
    return (
        [f"Not shown, because their kind has one size: {', '.join(names)}."]
        if names
        else []
    )


def alert(cells: Sequence[CellResult]) -> str:
    """A warning if the machine could not keep up."""
    count = sum(map(degraded, cells))
    if not count:
        return ""
    which = counted(count, "cell")
    return (
        f"\N{WARNING SIGN} In {which} (ringed) the machine was strained or saturated: "
        "these latencies describe the machine more than the network."
    )


def caption(
    analysis: Analysis, cells: Sequence[CellResult], fits: Sequence[GrowthResult]
) -> Iterator[str]:
    """The meaning of marks, bars and curves, and reasons for missing ones."""
    bounded = [c.p50_s for c in cells if c.p50_s is not None and c.p50_s.bounded]
    runs = sorted({len(cell.runs) for cell in cells})
    span = f"{runs[0]}" if runs[0] == runs[-1] else f"{runs[0]} to {runs[-1]}"
    if bounded:
        yield (
            f"Marks: centre of {span} runs (Hodges-Lehmann). Bars: its "
            f"{100 * bounded[0].level:.0f} % interval by bootstrap over runs "
            f"({analysis.resamples:,} resamples). Dashes: single runs."
        )
    else:
        yield "No intervals: they need several runs of each cell (--repeats)."
    if len(bounded) and len(bounded) < len(cells):
        yield "No bar: too few runs for an interval."
    if any(not cell.counted for cell in cells):
        yield "Cross: no verdict counts this cell."
    if fits:
        yield "Curves: least squares on logarithms of the counted cells."
    if any(fit.no_shape for fit in fits):
        yield "Where no shape fits, a line joins the sizes."
    notes = {
        f"{g.kind}, {g.model}: {g.note}"
        for g in analysis.growth
        if g.note and not g.shapes
    }
    kinds = {cell.kind for cell in cells}
    shown = sorted(note for note in notes if note.partition(",")[0] in kinds)
    if shown:
        yield f"No curve for {'; '.join(shown)}."


def total(cells: Sequence[CellResult]) -> str:
    """Samples and losses of these cells."""
    samples = sum(run.count for cell in cells for run in cell.runs)
    known = [
        cell for cell in cells if cell.lost is not None and cell.expected is not None
    ]
    lost = sum(cell.lost or 0 for cell in known) if known else None
    expected = sum(cell.expected or 0 for cell in known) if known else None
    return f"n = {samples:,}, {units.loss(lost, expected)}"


def description(cells: Sequence[CellResult], fits: Sequence[GrowthResult]) -> str:
    """The figure in words."""
    hosts = sorted({cell.hosts or 0 for cell in cells})
    parts = []
    for model in sorted({cell.model for cell in cells}):
        values = [c.p50_s.value for c in cells if c.model == model and c.p50_s]
        parts.append(
            f"{model}: medians from {units.duration(min(values))} to "
            f"{units.duration(max(values))}"
        )
    parts += [f"{fit.model} on {fit.kind}: {_said(fit)}" for fit in fits]
    return (
        f"Median and p99 of one-way latency for {hosts[0]} to {hosts[-1]} hosts, with "
        f"intervals over runs. {'; '.join(parts)}."
    )

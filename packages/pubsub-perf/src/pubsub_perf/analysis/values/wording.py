"""Estimates and verdicts in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pubsub_common.text.counted import counted
from pubsub_perf import units
from pubsub_perf.analysis.values.results import EXPONENTS, Estimate, GrowthResult

NO_INTERVAL = "no interval"


def number(value: float) -> str:
    """Three significant digits, no exponent where it can be avoided."""
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e7 else f"{value:.2g}"
    return f"{value:.3g}"


def ratio(estimate: Estimate | None) -> str:
    """``1.52 (1.31 to 1.77)``."""
    if estimate is None:
        return units.NOT_AVAILABLE
    if estimate.low is None or estimate.high is None:
        return f"{number(estimate.value)} ({NO_INTERVAL})"
    return (
        f"{number(estimate.value)} ({_bound(estimate.low)} to {_bound(estimate.high)})"
    )


def _bound(value: float) -> str:
    """A bound of a ratio. A bound beside 1 decides a verdict, so it is not shown as 1."""
    if value != 1 and number(value) == "1":
        return next(
            (text for n in range(4, 8) if (text := f"{value:.{n}g}") != "1"), "1"
        )
    return number(value)


def seconds(estimate: Estimate | None) -> str:
    """``120 (90.1 to 152) µs``."""
    if estimate is None:
        return units.NOT_AVAILABLE
    unit = units.unit_for([estimate.value])
    middle = unit.show(estimate.value)
    if estimate.low is None or estimate.high is None:
        return f"{middle} {unit.name} ({NO_INTERVAL})"
    low, high = unit.show(estimate.low), unit.show(estimate.high)
    return f"{middle} ({low} to {high}) {unit.name}"


def percent(share: float | None) -> str:
    """A share of 1 as per cent."""
    return units.NOT_AVAILABLE if share is None else f"{number(100 * share)} %"


def change(factor: float) -> str:
    """How latency changes from the smallest to the largest size."""
    if factor < 1:
        return f"latency falls to {percent(factor)}"
    return f"latency grows {number(factor)} times"


def exponent(estimate: Estimate) -> str:
    """``1.5 (1.2 to 6 or more)``; ``not known`` if all tested exponents fit equally."""
    least, most = EXPONENTS
    if (estimate.low, estimate.high) == EXPONENTS:
        return f"not known ({least:g} to {most:g} fit equally well)"

    def one(value: float) -> str:
        if value <= least:
            return f"{least:g} or less"
        return f"{most:g} or more" if value >= most else f"{value:.3g}"

    text = one(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        text += f" ({one(estimate.low)} to {one(estimate.high)})"
    if estimate.value in EXPONENTS:
        text += ", at the end of the tested range"
    return text


def shape(growth: GrowthResult) -> str:
    """The verdict on a series with fitted shapes: ``linear``, ``no shape fits`` or
    ``undecided (linear is ahead)``."""
    if growth.decided:
        return growth.decided
    if growth.no_shape:
        return "no shape fits"
    return f"undecided ({growth.shapes[0].name} is ahead)"


def spread(deviation: float) -> str:
    """A standard deviation of logarithms: ``4.2 %``, or ``a factor of 12``."""
    factor = math.exp(min(deviation, 700.0))
    if factor < 2:
        return f"{number(100 * (factor - 1))} %"
    return f"a factor of {number(factor)}"


def unjudged(cells: int, of: int) -> str:
    """A caution about ``cells`` of ``of`` without a fidelity record."""
    which = f"{cells} of {counted(of, 'cell')}"
    return (
        f"No fidelity record in {which}: it is unknown whether the machine kept up, and a "
        "busy machine may have caused these latencies."
    )


def unsteady(cells: int, of: int) -> str:
    """A caution about ``cells`` of ``of`` in which latency grows during the runs."""
    which = f"{cells} of {counted(of, 'cell')}"
    return (
        f"No steady state in {which}: latency grows during the runs, so its values depend "
        "on the length of a run. Shapes of growth leave these cells out."
    )


def listing(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

"""Judges whether a busy machine changed the measured latencies.

All emulated hosts share one machine's processors. The more they wait for a processor,
the more the scheduler decides the latency. Three figures of the measured span show this:

- pressure: share of the time in which at least one task was ready and had no processor
  (the kernel's pressure stall information, "some"; J. Weiner, PSI, Linux 4.20);
- utilisation: processor time of the roles, over elapsed time and processors;
- run-queue wait: mean wait of a role's thread before it ran
  (``/proc/<pid>/schedstat``: time waiting over time slices).

Handigol et al. (Reproducible Network Experiments Using Container-Based Emulation, CoNEXT
2012) observe the same in the packets. We chose conservative thresholds:
on two cores the medians of the two models crossed between 10 and 40 % of pressure.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

Verdict = Literal["ok", "strained", "saturated"]

STRAINED_PRESSURE: Final = 20.0
SATURATED_PRESSURE: Final = 60.0
STRAINED_UTILISATION: Final = 60.0
SATURATED_UTILISATION: Final = 85.0
# As a share of the cell's median latency.
STRAINED_WAIT_SHARE: Final = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class MachineLoad:
    """The load during the measured span. None: the kernel does not report it."""

    pressure_percent: float | None
    utilisation_percent: float | None
    wait_us: float | None


def judge(
    load: MachineLoad, median_s: float | None
) -> tuple[Verdict | None, str | None]:
    """The verdict, and its reason unless it is ``ok``; None if the kernel reports no
    figures."""
    if load == MachineLoad(None, None, None):
        return None, "the kernel reports neither pressure nor processor times"
    saturated = _over(load, SATURATED_PRESSURE, SATURATED_UTILISATION)
    if saturated:
        return "saturated", "; ".join(saturated)
    strained = _over(load, STRAINED_PRESSURE, STRAINED_UTILISATION)
    if load.wait_us is not None and median_s:
        share = load.wait_us / (median_s * 1e6)
        if share > STRAINED_WAIT_SHARE:
            strained.append(
                f"a thread waited {load.wait_us:.0f} us for a processor each time, "
                f"{share:.0%} of the median latency"
            )
    return ("strained", "; ".join(strained)) if strained else ("ok", None)


def _over(load: MachineLoad, pressure: float, utilisation: float) -> list[str]:
    found = []
    if load.pressure_percent is not None and load.pressure_percent >= pressure:
        found.append(
            f"some task waited for a processor {load.pressure_percent:.0f} % of the time "
            f"(limit {pressure:.0f} %)"
        )
    if load.utilisation_percent is not None and load.utilisation_percent >= utilisation:
        found.append(
            f"processors were {load.utilisation_percent:.0f} % busy "
            f"(limit {utilisation:.0f} %)"
        )
    return found

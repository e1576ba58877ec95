"""Advice for a machine that could not keep up, from the ``cell.json`` of each run.

A task waits only while all processors are busy. So if the roles were alone, the pressure would be
no more than their share of the processors. The rest is the least share of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_common.text.counted import counted
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta
from pubsub_perf.results.cells import DEGRADED

# Below this pressure no role waits long.
_LITTLE_PRESSURE_PERCENT: Final = 20.0
# On such slow links an event takes longer than the wait for a processor.
_SLOW_MBIT: Final = 5.0


def overload_advice(runs: Sequence[Meta | None]) -> tuple[str, ...]:
    """Sentences: the number of runs on an overloaded machine, the reason, and remedies. Empty
    if the machine kept up with all runs."""
    degraded = [meta for meta in runs if _is_degraded(meta)]
    if not degraded:
        return ()
    return tuple(_sentences(degraded, runs))


def _sentences(
    degraded: Sequence[Meta | None], runs: Sequence[Meta | None]
) -> Iterator[str]:
    yield (
        f"In {len(degraded)} of {counted(len(runs), 'run')} the machine was "
        "strained or saturated: their latencies describe the machine more than the network, "
        "and no verdict counts them."
    )
    pressure = _mean(degraded, "pressure_percent")
    if pressure is not None and pressure < _LITTLE_PRESSURE_PERCENT:
        yield (
            "Processors were free, but latencies are so short that the wait for a processor is "
            f"a large part of them. Slower links make this part small: {_slower(degraded)}."
        )
        return
    used = _mean(degraded, "utilisation_percent")
    others = None if pressure is None or used is None else pressure - used
    if used is not None and others is not None and others > used:
        yield (
            f"Other programs used the processors: the roles had {used:.0f} % of them, and "
            f"others at least {others:.0f} %. Stop these programs, and measure again with "
            "--force."
        )
        return
    yield (
        f"The emulated hosts need more than this machine has{_processors(degraded)}"
        f"{', or other programs used them' if others is None else ''}."
    )
    yield f"Measure {_or(list(_remedies(degraded, runs)))}."


def _remedies(
    degraded: Sequence[Meta | None], runs: Sequence[Meta | None]
) -> Iterator[str]:
    most = _most_hosts(degraded, runs)
    fewer = (
        "fewer hosts"
        if most is None
        else f"at most {most} hosts, with which the machine kept up"
    )
    yield f"with {fewer} (--switch-hosts, --depth, --fanout)"
    interval_s = cell_fields.number(degraded[0], "parameters", "interval_s")
    if interval_s:
        yield (
            f"with half the events a second (--interval {2 * interval_s:g}, "
            f"not {interval_s:g})"
        )
    yield "on a machine with more processors"


def _slower(degraded: Sequence[Meta | None]) -> str:
    local = cell_fields.text(degraded[0], "hosts", "kind") == "local"
    now_mbit = cell_fields.number(degraded[0], "parameters", "bandwidth_mbit")
    mbit = _SLOW_MBIT if not now_mbit else min(_SLOW_MBIT, now_mbit / 2)
    return f"{'--hosts mininet ' if local else ''}--bandwidth {mbit:g}"


def _most_hosts(
    degraded: Sequence[Meta | None], runs: Sequence[Meta | None]
) -> int | None:
    """The largest number of hosts with which the machine always kept up."""
    too_many = min(filter(None, map(_hosts, degraded)), default=0)
    kept_up = [_hosts(meta) for meta in runs if not _is_degraded(meta)]
    return max((n for n in kept_up if n and n < too_many), default=None)


def _is_degraded(meta: Meta | None) -> bool:
    verdict = cell_fields.text(meta, "fidelity", "verdict")
    return (verdict or cell_fields.text(meta, "fidelity")) in DEGRADED


def _hosts(meta: Meta | None) -> int | None:
    return cell_fields.count(meta, "topology", "hosts")


def _processors(degraded: Sequence[Meta | None]) -> str:
    count = cell_fields.count(degraded[0], "machine", "cpus")
    return "" if not count else f": {counted(count, 'processor')}"


def _mean(runs: Sequence[Meta | None], name: str) -> float | None:
    """None if a run lacks the figure, or has a wrong one."""
    values = [cell_fields.number(meta, "fidelity", name) for meta in runs]
    known = [value for value in values if value is not None and value >= 0]
    return sum(known) / len(known) if len(known) == len(runs) else None


def _or(items: Sequence[str]) -> str:
    return ", or ".join(items)

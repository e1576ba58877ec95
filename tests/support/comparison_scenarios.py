"""Checks `compare`: how often it finds slower cells, and how often it finds none.

To print the table: ``PYTHONPATH=tests .venv/bin/python -m
support.comparison_scenarios``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Final

from pubsub_perf.analysis.sweep_comparison import Comparison, compare_cells
from support.synthetic_sweeps import GroundTruth, LatencyModel, draw

_SIZES: Final = (5, 9, 13, 17, 21, 25, 29, 33, 37)  # Of two models: 18 cells.


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """Two sweeps: the second is ``factor`` as slow in all cells of the first sizes."""

    name: str
    slower: bool
    factor: float = 1.0
    sizes: int = len(_SIZES)
    noise: dict[str, float] = dataclasses.field(default_factory=dict)
    runs: int = 3

    def compare(self, seed: int) -> Comparison:
        """One draw of both sweeps, compared."""
        last = _SIZES[self.sizes - 1]

        def median_s(hosts: float, factor: float) -> float:
            return (3e-4 + 1e-5 * hosts) * (factor if hosts <= last else 1.0)

        sweeps = []
        for number, factor in enumerate((1.0, self.factor)):
            law = LatencyModel(lambda n, factor=factor: median_s(n, factor))  # type: ignore[misc]
            truth = GroundTruth(
                law,
                law,
                sizes=_SIZES,
                runs=self.runs,
                **self.noise,  # type: ignore[arg-type]
            )
            sweeps.append(draw(truth, 2 * seed + number))
        return compare_cells(list(zip(*sweeps, strict=True)))


CHANGES: Final = (
    Change("all cells 20 % slower", True, 1.2),
    Change("all cells 20 % slower, rounds drift by 2 %", True, 1.2, noise={"round_drift": 0.02}),
    Change("all cells 20 % slower, 10 runs", True, 1.2, runs=10),
    Change("2 of 18 cells twice as slow", True, 2.0, sizes=1),
    Change("nothing changed", False),
    Change("nothing changed, rounds drift by 3 %", False, noise={"round_drift": 0.03}),
    Change("nothing changed, runs depend", False, noise={"autocorrelation": 0.9}),
    Change("nothing changed, outlier runs", False, noise={"bad_runs": 0.1}),
    Change("nothing changed, 10 runs", False, runs=10),
    Change("all cells 20 % faster", False, 1 / 1.2),
)  # fmt: skip


def found(change: Change, draws: int = 100, first_seed: int = 1) -> int:
    """In how many draws the second sweep is reported as slower."""
    seeds = range(first_seed, first_seed + draws)
    return sum(change.compare(seed).got_slower for seed in seeds)


def table(draws: int = 100) -> Iterator[str]:
    """The table, line by line as it is computed."""
    yield f"{'18 cells, 3 runs':<46}{'slower':<8}found in {draws} draws"
    for change in CHANGES:
        yield f"{change.name:<46}{'yes' if change.slower else 'no':<8}{found(change, draws)}"


def main() -> None:
    """Print the table."""
    import sys

    for line in table():
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

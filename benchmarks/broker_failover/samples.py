"""The observations of one run, and the conclusions. Pure."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

# All clients are at other brokers after so long (bar A6).
BAR_S: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One run of one model. Times are in seconds since the broker was killed.

    ``received``: events a second, by time; ``clients``: of each broker by time, None where
    it does not answer; ``lost``: how many events subscribers lost, all together.
    """

    model: str
    total: int
    published_a_second: float
    received: Sequence[tuple[float, float]]
    clients: Mapping[str, Sequence[tuple[float, int | None]]]
    lost: int

    def moved_s(self, share: float = 1.0) -> float | None:
        """How long it took until this share of all clients was at other brokers than the
        one that was killed, which is the first; None: it did not happen."""
        survivors = [name for name in self.clients if name != next(iter(self.clients))]
        times = sorted(
            {at_s for name in survivors for at_s, _ in self.clients[name] if at_s >= 0}
        )
        for at_s in times:
            there = sum(_at(self.clients[name], at_s) for name in survivors)
            if there >= share * self.total:
                return at_s
        return None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        moved = {f"moved_{p}_s": self.moved_s(p / 100) for p in (50, 99, 100)}
        return dataclasses.asdict(self) | moved

    @classmethod
    def of(cls, document: dict[str, Any]) -> Run:
        """The run that `document` made."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: document[name] for name in names})


def _at(counts: Sequence[tuple[float, int | None]], at_s: float) -> int:
    """The last number that was seen by then."""
    seen = bisect.bisect_right(counts, at_s, key=lambda each: each[0])
    return next((n for _, n in reversed(counts[:seen]) if n is not None), 0)


def words(run: Run) -> str:
    """One line about a run."""

    def seconds(value: float | None) -> str:
        return "not at all" if value is None else f"{value:.1f} s"

    half, most, all_of_them = (run.moved_s(share) for share in (0.5, 0.99, 1.0))
    return (
        f"{run.model}: of {run.total} clients half were at other brokers after "
        f"{seconds(half)}, 99 % after {seconds(most)}, all after "
        f"{seconds(all_of_them)} (bar {BAR_S:g} s); {run.lost} events lost"
    )

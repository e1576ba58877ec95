"""Whether ratios are worse than they were. Core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pubsub_perf.bench.targets import Need, Outcome

TOLERANCE: Final = 0.15


class Reference:
    """The ratios of an earlier benchmark."""

    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        """``document`` is what `session.document` made of it; without one nothing is worse."""
        self._ratios: dict[tuple[int, str, str], float] = {
            (item["bar"], item["name"], item["metric"]): item["ratio"]
            for item in (document or {}).get("comparisons", [])
        }

    def worse(self, found: Sequence[Outcome]) -> list[Outcome]:
        """Those that are worse by more than the tolerance."""
        return [each for each in found if self._worse_by(each) > TOLERANCE]

    def doubtful(self, found: Sequence[Outcome]) -> bool:
        """Whether to look again, longer: one does not meet its bar, or is worse."""
        return bool(self.worse(found)) or not all(each.met for each in found)

    def complaint(self, found: Sequence[Outcome]) -> str | None:
        """A line about those that are worse; None if none is."""
        worse = [
            f"{each.name} ({each.metric} {self._ratio(each):.2f} before, "
            f"{each.ratio:.2f})"
            for each in self.worse(found)
        ]
        if not worse:
            return None
        return f"worse by more than {TOLERANCE:.0%}: {'; '.join(worse)}"

    def _ratio(self, outcome: Outcome) -> float | None:
        return self._ratios.get((outcome.bar, outcome.name, outcome.metric))

    def _worse_by(self, outcome: Outcome) -> float:
        before = self._ratio(outcome)
        if before is None:
            return 0.0
        need = Need(outcome.bar, outcome.metric, outcome.bound)
        return need.worse_by(outcome.ratio, before)

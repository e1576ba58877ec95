"""Tells whether ratios are worse than in an earlier benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pubsub_perf.bench.targets import ComparisonResult, Target

TOLERANCE: Final = 0.15


class Reference:
    """The ratios of an earlier benchmark."""

    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        """``document`` is what `session.document` made of it; without one nothing is worse."""
        self._ratios: dict[tuple[int, str, str], float] = {
            (item["bar"], item["name"], item["metric"]): item["ratio"]
            for item in (document or {}).get("comparisons", [])
        }

    def worse(self, found: Sequence[ComparisonResult]) -> list[ComparisonResult]:
        """Those that are worse by more than the tolerance."""
        return [each for each in found if self._worse_by(each) > TOLERANCE]

    def doubtful(self, found: Sequence[ComparisonResult]) -> bool:
        """Whether to look again, longer: one does not meet its bar, or is worse."""
        return bool(self.worse(found)) or not all(each.met for each in found)

    def complaint(self, found: Sequence[ComparisonResult]) -> str | None:
        """A line about those that are worse; None if none is."""
        worse = [
            f"{each.name} ({each.metric} {self._ratio(each):.2f} before, "
            f"{each.ratio:.2f})"
            for each in self.worse(found)
        ]
        if not worse:
            return None
        return f"worse by more than {TOLERANCE:.0%}: {'; '.join(worse)}"

    def _ratio(self, result: ComparisonResult) -> float | None:
        return self._ratios.get((result.bar, result.name, result.metric))

    def _worse_by(self, result: ComparisonResult) -> float:
        before = self._ratio(result)
        if before is None:
            return 0.0
        target = Target(result.bar, result.metric, result.bound)
        return target.worse_by(result.ratio, before)

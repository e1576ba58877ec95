"""Decides the seed's five patterns from the data.

1. The latency with direct dissemination is in general smaller.
2. With centralized dissemination there are extra large latencies.
3. Latency increases with the number of publishers and subscribers, in both models.
4. Their number has more impact on centralized dissemination.
5. The relationship is not linear; it seems to be quadratic.
"""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_perf.analysis.patterns import host_scaling, model_comparison
from pubsub_perf.analysis.patterns.evidence import Evidence
from pubsub_perf.analysis.values.results import GrowthResult, PatternResult


def decide(
    evidence: Evidence, growth: Sequence[GrowthResult]
) -> tuple[PatternResult, ...]:
    """All five, in the seed's order."""
    return (
        model_comparison.direct_is_smaller(evidence),
        model_comparison.centralized_has_extremes(evidence),
        host_scaling.grows_with_hosts(evidence),
        host_scaling.grows_faster_centralized(evidence),
        host_scaling.is_quadratic(evidence, growth),
    )

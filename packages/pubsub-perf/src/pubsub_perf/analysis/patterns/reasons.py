"""Reasons for a pattern without data, from the counted cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pubsub_common.defaults import MIN_COUNT_P99
from pubsub_common.text.counted import counted
from pubsub_perf.analysis.values import wording
from pubsub_perf.analysis.values.results import LeftOut
from pubsub_perf.analysis.values.samples import CENTRALIZED, DECENTRALIZED, Samples
from pubsub_perf.plan.cases import MODELS


def no_pairs(samples: Samples, alone: Sequence[LeftOut]) -> str:
    """Why no network has a cell of each model that can be compared."""
    left_out = [item.cell for item in samples.left_out]
    every = [*(cell.name for cell in samples.cells), *left_out]
    both = _networks(every, CENTRALIZED) & _networks(every, DECENTRALIZED)
    if not both:
        return f"no network was measured with both models{not_counted(samples)}"
    which = counted(len(both), "network")
    have = "has" if len(both) == 1 else "have"
    unlike = [item for item in alone if item.reason.startswith("loads differ")]
    if unlike:
        return f"{which} {have} cells of both models, under different loads"
    return (
        f"{which} {have} cells of both models, and none of them has two that count"
        f"{not_counted(samples)}"
    )


def too_few_events() -> str:
    """Why no pair of cells has a p99."""
    return (
        f"no network has {MIN_COUNT_P99} events in every run of both models, "
        "which p99 needs"
    )


def no_two_sizes(samples: Samples, what: str) -> str:
    """Why ``what`` (cells, or pairs of cells) are not of two sizes of a kind of network."""
    return f"no {what} of two sizes of one kind of network count{not_counted(samples)}"


def not_counted(samples: Samples) -> str:
    """The number of cells of both models that do not count, and the reasons; empty if all
    count."""
    items = [item for item in samples.left_out if item.cell.partition("/")[0] in MODELS]
    if not items:
        return ""
    # The part behind a colon has the figures of one cell.
    reasons = Counter(item.reason.partition(":")[0] for item in items)
    told = [
        f"{reason} ({count:,})" if len(reasons) > 1 else reason
        for reason, count in reasons.most_common()
    ]
    of = counted(len(items) + len(samples.cells), "cell")
    are = "is" if len(items) == 1 else "are"
    return f"; {len(items):,} of {of} {are} left out ({wording.listing(told)})"


def _networks(names: Sequence[str], model: str) -> set[str]:
    split = (name.partition("/") for name in names)
    return {network for first, _, network in split if first == model}

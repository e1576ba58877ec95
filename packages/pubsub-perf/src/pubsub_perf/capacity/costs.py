"""The measured processor time of an event at a broker."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Final

from pubsub_common.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True)
class EventCosts:
    """Microseconds of a broker's processor, all its threads: to receive an event, and for
    each copy of it that the broker sends."""

    taken_us: float
    copy_us: float

    @property
    def ratio(self) -> float:
        """The number of copies that cost as much as receiving: the *a* of the growth formula."""
        return self.taken_us / self.copy_us

    def validate(self) -> None:
        """Raises:
        ConfigError: a cost is not more than 0.
        """
        if not (self.taken_us > 0 and self.copy_us > 0):
            raise ConfigError(
                f"costs must be more than 0: {self.taken_us:g} and {self.copy_us:g} us"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class MeasuredCosts:
    """Costs with events of one size, at one rate."""

    payload_bytes: int
    events_per_s: float
    costs: EventCosts


# Of brokers on 2 cores (AMD EPYC, virtual) beside other work (load 4 to 11): by the kernel's
# account of their threads, with 1, 4 and 8 subscribers. `pubsub-perf bench --brokers --bars costs`
# measures them on another machine. The ratio carries over better than the times.
MEASURED: Final = (
    MeasuredCosts(64, 20_000, EventCosts(4.8, 0.32)),
    MeasuredCosts(16_384, 2_000, EventCosts(38.0, 20.0)),
)


def costs_for(
    payload_bytes: int, measured: Sequence[MeasuredCosts] = MEASURED
) -> EventCosts:
    """The costs of events of this size: on the line between the two sizes around it that
    were measured, and beyond the largest one in proportion to the size.

    Raises:
        ConfigError: nothing was measured.
    """
    if not measured:
        raise ConfigError("no costs were measured")
    by_size = sorted(measured, key=lambda each: each.payload_bytes)
    if payload_bytes <= by_size[0].payload_bytes:
        return by_size[0].costs
    for low, high in itertools.pairwise(by_size):
        if payload_bytes <= high.payload_bytes:
            span = high.payload_bytes - low.payload_bytes
            share = (payload_bytes - low.payload_bytes) / span
            return EventCosts(
                _between(low.costs.taken_us, high.costs.taken_us, share),
                _between(low.costs.copy_us, high.costs.copy_us, share),
            )
    last = by_size[-1]
    times = payload_bytes / last.payload_bytes
    return EventCosts(last.costs.taken_us * times, last.costs.copy_us * times)


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share

"""The broker's two stations, its processor and its link, as queues with batches.

One event makes F deliveries, so a station serves it in B = e + d F seconds: e for the
event, d for each delivery (as in Menth and Henjes, ICDCS 2006). With
events at rate l it is used for u = l B of the time, and the middle delivery leaves
e + d (F + 1) / 2 after the begin of service. The wait before depends on the arrivals:

- at random (Poisson): l B^2 / (2 (1 - u)), Pollaczek and Khinchine with constant B. No
  schedule of many independent publishers does worse;
- at fixed intervals with random phases, as the publishers of a sweep do: the queue of N
  periodic sources (N D/D/1; Eckberg 1979, Roberts and Virtamo 1991), which is much
  shorter, since each publisher sends only once in an interval.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from pubsub_perf.analysis.stats import bootstrap
from pubsub_perf.analysis.stats.bootstrap import Resampling
from pubsub_perf.analysis.values.estimate import Estimate

# With more sources the wait, at the same utilisation, is that of random arrivals.
_MAX_SOURCES: Final = 1000
_STEP: Final = 1 / 8
_MIN_BACKGROUND: Final = 4

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """Events a second, deliveries of each, and how many publishers send them at fixed
    intervals; None: at random."""

    events_per_s: float
    fanout: float
    periodic: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Station:
    """Seconds (or bytes) for an event and for each of its deliveries."""

    per_event: float
    per_delivery: float

    def service_s(self, fanout: float) -> float:
        return self.per_event + self.per_delivery * fanout

    def utilisation(self, load: Load) -> float:
        return load.events_per_s * self.service_s(load.fanout)

    def sojourn_s(self, load: Load) -> float | None:
        """Mean time from an event's arrival to a delivery's end; None when full."""
        used = self.utilisation(load)
        if used >= 1:
            return None
        if load.periodic is None:
            services = used / (2 * (1 - used))
        else:
            services = periodic_wait(load.periodic, used)
        wait_s = services * self.service_s(load.fanout)
        return wait_s + self.per_event + self.per_delivery * (load.fanout + 1) / 2


def periodic_wait(sources: int, utilisation: float) -> float:
    """Mean wait, in service times, of ``sources`` that each send once in a period, with
    phases at random; ``utilisation`` is below 1."""
    others = min(sources, _MAX_SOURCES) - 1
    if others < 1 or utilisation <= 0:
        return 0.0
    period = (others + 1) / utilisation
    # P(wait > x) by the number n of arrivals in the last n - x service times: a sum
    # over n > x, integrated over x by midpoints.
    x = np.arange(_STEP / 2, others, _STEP)[:, None]
    n = np.arange(1, others + 1)[None, :]
    share = np.clip((n - x) / period, 0, 1)
    ways = special.gammaln(others + 1) - special.gammaln(n + 1)
    ways -= special.gammaln(others - n + 1)
    logs = ways + special.xlogy(n, share) + special.xlog1py(others - n, -share)
    late = np.exp(logs) * (period - others + x) / (period - n + x)
    return float(np.where(n > x, late, 0.0).sum() * _STEP)


def sojourn_s(stations: Sequence[Station], load: Load) -> float | None:
    """Mean time through stations in a row. The slowest one queues; in the others a
    delivery only meets its own service, as they work while the slowest one does."""
    if not stations or any(station.utilisation(load) >= 1 for station in stations):
        return None
    slowest = max(stations, key=lambda station: station.service_s(load.fanout))
    others = sum(s.service_s(1) for s in stations if s is not slowest)
    through = slowest.sojourn_s(load)
    return None if through is None else through + others


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class CellCost:
    """What an event cost in one cell, one value a run. ``seconds``: of measurement for
    each event, in which the broker also had other things to do."""

    fanout: float
    costs: Floats
    seconds: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """A station fitted to the costs of events in several cells; ``background`` is the cost
    of each second without any event."""

    per_event: Estimate
    per_delivery: Estimate
    background: Estimate | None

    @property
    def station(self) -> Station:
        return Station(self.per_event.value, self.per_delivery.value)


def fit_cost(cells: Sequence[CellCost], resampling: Resampling, key: str) -> Cost:
    """Fit cost = e + d F + background x seconds to cells of different fanouts, without negative
    terms. Residuals are relative, since larger costs scatter more. Without
    `_MIN_BACKGROUND` cells that tell their seconds there is no background."""
    middle = np.array([float(cell.costs.mean()) for cell in cells])
    terms = [np.ones(len(cells)), np.array([cell.fanout for cell in cells])]
    seconds = [cell.seconds for cell in cells if cell.seconds is not None]
    if len(seconds) == len(cells) >= _MIN_BACKGROUND:
        terms.append(np.array(seconds))
    matrix = np.stack(terms, axis=1) / middle[:, None]

    def coefficient(index: int) -> Estimate:
        def statistic(drawn: Sequence[Floats]) -> Floats:
            means = np.stack([d.mean(axis=-1) for d in drawn], axis=-1) / middle
            return np.array([optimize.nnls(matrix, row)[0][index] for row in means])

        costs = [cell.costs for cell in cells]
        return bootstrap.percentile_interval(
            costs, statistic, resampling, f"{key}/{index}"
        )

    found = [coefficient(index) for index in range(len(terms))]
    return Cost(found[0], found[1], found[2] if len(found) > 2 else None)

"""The workload: topics, their shares of the events, their subscribers."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError

Popularity = Literal["uniform", "zipf"]
POPULARITIES: Final[tuple[Popularity, ...]] = get_args(Popularity)
# So that a table of topics and brokers stays within a few hundred MB.
MAX_TOPICS: Final = 100_000
MAX_SUBSCRIBERS: Final = 100_000_000

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """``topics``, and ``subscribers`` with ``topics_each`` different ones each. With
    ``popularity`` zipf the n-th topic has 1/n of the events of the first one, and subscribers
    choose topics by the same weights; else all topics are alike."""

    topics: int
    subscribers: int
    topics_each: int = 1
    popularity: Popularity = "uniform"
    payload_bytes: int = defaults.PAYLOAD_BYTES

    def validate(self) -> None:
        """Raises:
        ConfigError: a value is not valid, or is too large to compute.
        """
        for name, value, most in (
            ("topics", self.topics, MAX_TOPICS),
            ("subscribers", self.subscribers, MAX_SUBSCRIBERS),
            ("topics each", self.topics_each, self.topics),
        ):
            validation.at_least(name, value)
            if value > most:
                raise ConfigError(f"{name} can be at most {most:,}: {value:,}")
        validation.at_least("payload size", self.payload_bytes, 0)
        if self.popularity not in POPULARITIES:
            raise ConfigError(
                f"unknown popularity {self.popularity!r}: choose from "
                f"{', '.join(POPULARITIES)}"
            )

    @property
    def shares(self) -> Floats:
        """Of all events, the share that each topic has."""
        if self.popularity == "zipf":
            weights = 1 / np.arange(1, self.topics + 1)
        else:
            weights = np.ones(self.topics)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    @property
    def chances(self) -> Floats:
        """For each topic the chance that a subscriber has it; they add up to
        ``topics_each``. A subscriber that chooses several topics by their weights has a
        popular one at most once, so these are less unequal than the shares."""
        weights = self.shares
        if self.topics_each == self.topics:
            return np.ones(self.topics)
        low, high = 0.0, 1.0
        while _chances(weights, high).sum() < self.topics_each:
            high *= 2
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if _chances(weights, middle).sum() < self.topics_each:
                low = middle
            else:
                high = middle
        found = _chances(weights, high)
        return np.asarray(found * (self.topics_each / found.sum()))


# Halvings: as exact as the numbers are.
_STEPS: Final = 60


def _chances(weights: Floats, intensity: float) -> Floats:
    return -np.expm1(-intensity * weights)

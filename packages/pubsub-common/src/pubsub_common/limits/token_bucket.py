"""Token buckets: a burst, and then a rate."""

from __future__ import annotations

import dataclasses
from typing import Final

# The rounding error of many small numbers that are added.
_ROUNDING_S: Final = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class TokenBucket:
    """``burst`` tokens, refilled with ``per_s`` tokens per second."""

    per_s: float
    burst: float

    def take(self, empty_at: float, now: float, cost: float = 1.0) -> float | None:
        """Take tokens for ``cost``. ``empty_at`` is the state of the bucket: the time
        up to which its tokens are used, which is later than ``now`` by the time it
        takes to refill. Returns the new state; None if there are too few tokens."""
        spent_at = max(empty_at, now) + cost / self.per_s
        most_s = self.burst / self.per_s + _ROUNDING_S
        return None if spent_at - now > most_s else spent_at

    def charge(self, empty_at: float, now: float, cost: float) -> float:
        """Like `take`, for work that is done already: missing tokens are owed."""
        return max(empty_at, now) + cost / self.per_s

    def is_spent(self, empty_at: float, now: float) -> bool:
        """Whether no tokens are left."""
        return empty_at - now > self.burst / self.per_s

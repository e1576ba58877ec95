"""Token buckets: so much at once, and then so much a second."""

from __future__ import annotations

import dataclasses
from typing import Final

# Of many small numbers that are added up.
_ROUNDING_S: Final = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class TokenBucket:
    """``burst`` tokens at once, and then ``per_s`` a second."""

    per_s: float
    burst: float

    def take(self, empty_at: float, now: float, cost: float = 1.0) -> float | None:
        """Take tokens for ``cost``. ``empty_at`` is the state of the bucket: the time up to
        which its tokens are used, which is beyond ``now`` by the time it takes to refill.
        Returns the new state; None when there are too few tokens."""
        spent_at = max(empty_at, now) + cost / self.per_s
        most_s = self.burst / self.per_s + _ROUNDING_S
        return None if spent_at - now > most_s else spent_at

    def charge(self, empty_at: float, now: float, cost: float) -> float:
        """As `take`, for what was done already: tokens that there are not are owed."""
        return max(empty_at, now) + cost / self.per_s

    def is_spent(self, empty_at: float, now: float) -> bool:
        """Whether no tokens are left."""
        return empty_at - now > self.burst / self.per_s

"""Budgets: a burst, and then a rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.limits.token_bucket import TokenBucket


def test_a_budget_is_a_burst_and_then_a_rate() -> None:
    bucket = TokenBucket(per_s=2.0, burst=3.0)
    empty_at = float("-inf")
    for _ in range(3):
        after = bucket.take(empty_at, 10.0)
        assert after is not None
        empty_at = after

    assert bucket.take(empty_at, 10.4) is None
    assert bucket.take(empty_at, 10.5) is not None
    # Long after, there is a burst again and not more.
    assert bucket.take(empty_at, 100.0, 3.0) is not None
    assert bucket.take(empty_at, 100.0, 3.5) is None


@given(
    steps=st.lists(st.sampled_from([0.0, 0.01, 0.1, 1.0, 30.0]), max_size=200),
    per_s=st.sampled_from([0.5, 1.0, 10.0]),
    burst=st.sampled_from([1.0, 5.0, 20.0]),
)
def test_no_more_is_ever_served_than_burst_and_rate_allow(
    steps: list[float], per_s: float, burst: float
) -> None:
    bucket = TokenBucket(per_s, burst)
    now, empty_at = 0.0, float("-inf")
    served: list[float] = []
    for step in steps:
        now += step
        after = bucket.take(empty_at, now)
        if after is not None:
            empty_at = after
            served.append(now)

    for index, begin in enumerate(served):
        for count, end in enumerate(served[index:], 1):
            assert count <= burst + per_s * (end - begin) + 1e-6

"""The brokers of topics, and the copies that they send."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.capacity import spread
from pubsub_perf.capacity.workload import Workload


@given(
    topics=st.integers(1, 30),
    subscribers=st.integers(1, 300),
    each=st.integers(1, 30),
    popular=st.sampled_from(["uniform", "zipf"]),
    brokers=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_every_subscription_is_served_by_one_broker(
    topics: int, subscribers: int, each: int, popular: str, brokers: int, seed: int
) -> None:
    workload = Workload(topics, subscribers, min(each, topics), popular)  # type: ignore[arg-type]
    random = np.random.default_rng(seed)
    home = spread.at_home(workload, brokers, random)
    assert home.shape == (topics, brokers)
    assert home.sum() <= subscribers * workload.topics_each
    assert home.max() <= -(-subscribers // brokers)
    split = spread.split(home, random)
    assert split.subscribers.tolist() == home.sum(axis=1).tolist()
    at = (split.copies > 0).sum(axis=1)
    allowed = spread.brokers_of_a_topic(split.subscribers, brokers)
    assert (at <= allowed).all()
    shares = workload.shares
    work = split.work(shares, 3.0, 0.5)
    # All brokers together: each copy once, and taking in at each broker of the topic.
    assert work.sum() == pytest.approx(
        3.0 * float(shares @ at) + 0.5 * float(shares @ split.subscribers)
    )


def test_a_topic_is_at_a_power_of_two_of_brokers_or_all() -> None:
    # Of 100 subscriptions, six brokers: 48 times the share.
    counts = np.array([0, 1, 2, 3, 4, 5, 35, 50])
    found = spread.brokers_of_a_topic(counts, 6)
    assert found.tolist() == [1, 1, 1, 1, 2, 2, 6, 6]
    even = spread.brokers_of_a_topic(np.full(64, 16), 4)
    assert set(even.tolist()) == {1}


@given(each=st.integers(1, 20), popular=st.sampled_from(["uniform", "zipf"]))
def test_chances_add_up_and_nobody_has_a_topic_twice(each: int, popular: str) -> None:
    workload = Workload(20, 100, each, popular)  # type: ignore[arg-type]
    chances = workload.chances
    assert chances.sum() == pytest.approx(each)
    assert chances.max() <= 1 + 1e-9
    assert (np.diff(chances) <= 1e-12).all()

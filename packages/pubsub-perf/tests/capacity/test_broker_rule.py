"""The model spreads topics by the rule of the brokers themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.control.topic_spread import broker_count
from pubsub_perf.capacity.spread import brokers_of_a_topic


@given(
    subscribers=st.lists(st.integers(0, 2000), min_size=1, max_size=30),
    brokers=st.integers(1, 256),
)
def test_topics_are_at_as_many_brokers_as_in_a_group(
    subscribers: list[int], brokers: int
) -> None:
    total = sum(subscribers)
    expected = [broker_count(count, total, brokers) for count in subscribers]
    found = brokers_of_a_topic(np.array(subscribers), brokers)
    wanted = [number for number, count in enumerate(subscribers) if count]
    assert [found[n] for n in wanted] == [expected[n] for n in wanted]

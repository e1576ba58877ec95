"""The places of topics in a group: the same at all brokers, even, and with few moves."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.control.topic_spread import (
    broker_count,
    damped_count,
    place_of,
    ranking,
)

BROKERS = tuple(f"10.0.0.{number}:5555" for number in range(1, 9))
TOPICS = tuple(f"building/{number}/temperature" for number in range(2000))

some_brokers = st.lists(st.sampled_from(BROKERS), min_size=1, unique=True)
topics = st.text(min_size=1, max_size=20)
sessions = st.integers(0, 2**53 - 1)
numbers = st.integers(0, 100_000)


@given(topics, some_brokers, st.randoms())
def test_all_brokers_choose_the_same(
    topic: str, brokers: list[str], random: Random
) -> None:
    shuffled = list(brokers)
    random.shuffle(shuffled)
    assert ranking(topic, shuffled) == ranking(topic, brokers)
    assert sorted(ranking(topic, brokers)) == sorted(brokers)


@given(topics, some_brokers)
def test_a_broker_that_comes_or_goes_moves_no_other(
    topic: str, brokers: list[str]
) -> None:
    gone = brokers[0]
    fewer = [each for each in ranking(topic, brokers) if each != gone]
    assert ranking(topic, brokers[1:]) == fewer


def test_topics_are_shared_out_evenly() -> None:
    first = Counter(ranking(topic, BROKERS)[0] for topic in TOPICS)
    second = Counter(ranking(topic, BROKERS)[1] for topic in TOPICS)
    for counted in (first, second):
        assert counted.keys() == set(BROKERS)
        # Of 250 each: five standard deviations.
        assert all(170 <= number <= 330 for number in counted.values())


@given(sessions, some_brokers, st.sampled_from(BROKERS))
def test_a_subscriber_has_a_topic_at_its_own_broker_if_it_is_there(
    session: int, brokers: list[str], home: str
) -> None:
    place = place_of(session, home, brokers)
    assert place == (home if home in brokers else place_of(session, "", brokers))
    assert place in brokers


def test_subscribers_are_shared_out_evenly_over_the_other_brokers() -> None:
    counted = Counter(place_of(session, "", BROKERS) for session in range(2000))
    assert all(170 <= number <= 330 for number in counted.values())


@given(numbers, numbers, st.integers(1, 64))
def test_a_topic_is_at_one_broker_at_least_and_at_no_more_than_there_are(
    subscribers: int, others: int, brokers: int
) -> None:
    count = broker_count(subscribers, subscribers + others, brokers)
    assert 1 <= count <= brokers
    assert count == brokers or count.bit_count() == 1
    assert count <= max(1, subscribers // 2)


@given(numbers, numbers, st.integers(1, 64))
def test_more_subscribers_never_mean_fewer_brokers(
    subscribers: int, others: int, brokers: int
) -> None:
    count = broker_count(subscribers, subscribers + others, brokers)
    more = broker_count(subscribers + 1, subscribers + 1 + others, brokers)
    assert more >= count


def test_a_topic_that_is_all_there_is_is_everywhere() -> None:
    assert broker_count(16, 16, 4) == 4
    assert broker_count(16, 16, 8) == 8


def test_many_topics_that_are_alike_are_at_one_broker_each() -> None:
    assert broker_count(16, 64 * 16, 4) == 1
    # A topic with a tenth of all subscriptions does not.
    assert broker_count(100, 1000, 4) == 4


@given(st.integers(1, 4096), st.integers(1, 64), st.lists(st.integers(-3, 3)))
def test_a_count_that_wavers_moves_nothing(
    subscribers: int, brokers: int, changes: list[int]
) -> None:
    """For any first count, it stays unless the number of subscribers changes by a half."""
    total = 16 * subscribers
    count = damped_count(None, subscribers + max(changes, default=0), total, brokers)
    for change in changes:
        now = subscribers + change
        if subscribers >= 16:
            assert damped_count(count, now, total, brokers) == count


@given(st.integers(1, 64), numbers, numbers, st.integers(1, 64))
def test_a_damped_count_is_what_the_rule_says_give_or_take_a_doubling(
    before: int, subscribers: int, others: int, brokers: int
) -> None:
    total = subscribers + others
    count = damped_count(before, subscribers, total, brokers)
    least = broker_count(subscribers, total, brokers)
    assert least <= count <= broker_count(2 * subscribers, total, brokers)

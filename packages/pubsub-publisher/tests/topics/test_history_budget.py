"""What a publisher keeps of all topics together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.defaults import EVENT_OVERHEAD_BYTES
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.history_budget import HistoryBudget

LIMIT = 10 * EVENT_OVERHEAD_BYTES


class Counted(HistoryBudget):
    """A budget that counts how often it looks at all histories."""

    looks = 0

    def make_room(self) -> None:
        self.looks += 1
        super().make_room()


def histories(count: int, budget: HistoryBudget | None = None) -> list[History]:
    budget = budget or HistoryBudget(LIMIT)
    return [History(10**6, 2**30, budget) for _ in range(count)]


def publish(history: History, size: int) -> None:
    history.add(history.end, [(0, b"x" * size)])


def kept(history: History) -> int:
    """Counted the long way."""
    _, _, payloads = history.select(0, history.end)
    return sum(len(payload) + EVENT_OVERHEAD_BYTES for payload in payloads)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3000)), max_size=200))
def test_all_topics_keep_no_more_than_the_limit(sent: list[tuple[int, int]]) -> None:
    topics = histories(5)
    for topic, size in sent:
        publish(topics[topic], size)
        assert sum(map(kept, topics)) <= LIMIT
        assert [each.size for each in topics] == [kept(each) for each in topics]
    for history in topics:
        first, _, payloads = history.select(0, history.end)
        assert first + len(payloads) == history.end  # the newest events are kept


def test_the_topic_that_has_most_forgets_first() -> None:
    rare, often = histories(2)
    publish(rare, 10)
    for _ in range(1000):
        publish(often, 10)

    assert len(rare) == 1
    assert 5 < len(often) < 10


def test_an_event_that_is_larger_than_the_limit_is_not_kept() -> None:
    small, large = histories(2)
    publish(small, 0)
    publish(large, 2 * LIMIT)

    assert len(large) == 0
    publish(large, 0)
    assert large.select(0, 5) == (1, [0], [b""])


def test_what_an_exception_left_uncounted_is_counted_later() -> None:
    budget = HistoryBudget(LIMIT)
    (topic,) = histories(1, budget)
    for _ in range(100):
        publish(topic, 100)
        budget.room += 50  # as if the exception had come before the count
        assert kept(topic) <= 1.2 * LIMIT


def test_forgetting_looks_at_all_topics_but_seldom() -> None:
    budget = Counted(10**6)
    topics = histories(1000, budget)

    for number in range(20_000):
        publish(topics[number % 1000], 100)

    assert budget.looks < 20_000 / 30

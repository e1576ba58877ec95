"""The memory for subscribers with sessions that the broker has not confirmed."""

from __future__ import annotations

import sys

from pubsub_common.protocol.events import ReadyRequest
from pubsub_publisher.subscribers.ready_subscribers import ReadySubscribers

LIMIT = 100_000


def ask(ready: ReadySubscribers, session: int, topic: str, origin: str) -> bool:
    return ready.update(ReadyRequest(topic, session), origin, begins=True)


def test_sessions_that_are_invented_are_not_remembered_without_end() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)

    for session in range(100_000):
        ask(ready, session, "A", "mallory")

    assert len(ready.sessions) < LIMIT / 600
    assert 99_999 in ready.sessions


def test_topics_that_are_invented_are_not_remembered_without_end() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)

    for number in range(10_000):
        ask(ready, 7, f"invented {number}", "mallory")

    seen = ready._subscribers[7].seen
    assert sum(map(sys.getsizeof, seen)) + sys.getsizeof(seen) < 2 * LIMIT


def test_who_floods_displaces_nobody_else() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)
    honest = [(-1 - number, f"honest {number}") for number in range(20)]
    for session, origin in honest[:10]:
        ask(ready, session, "A", origin)
    for session in range(10_000):
        ask(ready, session, "A", "mallory")
    for session, origin in honest[10:]:
        ask(ready, session, "A", origin)

    assert {session for session, _ in honest} <= ready.sessions


def test_behind_a_broker_those_that_it_has_named_stay() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)
    ready.expect({-1: 1, -2: 1})
    for session in (-1, *range(10_000), -2, *range(10_000, 20_000)):
        ask(ready, session, "A", "broker")

    assert {-1, -2} <= ready.sessions


def test_whoever_is_forgotten_is_not_ready_any_more() -> None:
    ready = ReadySubscribers({"A"}, 2000)
    assert ask(ready, 1, "A", "peer")
    assert ask(ready, 2, "A", "peer")
    assert ask(ready, 3, "A", "peer")
    assert ask(ready, 4, "A", "peer")

    assert 1 not in ready.sessions
    assert not ready.update(ReadyRequest("A", 1), None, begins=False)


def test_attempts_that_are_invented_are_not_remembered_without_end() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)
    for attempt in range(2**16):
        ready.update(ReadyRequest("A", 7, 0, attempt), "mallory", begins=True)

    assert ready._size < 2000
    for attempt in range(2**16):
        ready.update(ReadyRequest("A", 7, 0, attempt), None, begins=False)
    assert not ready.sessions
    assert ready._size == 0


def test_who_has_asked_again_stays_when_what_was_asked_before_ends() -> None:
    """An old connection still has the first attempt; the new one asks again."""
    ready = ReadySubscribers({"A"})
    first, again = ReadyRequest("A", 1), ReadyRequest("A", 1, 0, 1)

    assert ready.update(first, "old", begins=True)
    assert not ready.update(again, "new", begins=True)
    assert not ready.update(first, None, begins=False)
    assert ready.sessions == {1}
    assert not ready.update(first, None, begins=False)
    assert ready.update(again, None, begins=False)
    assert not ready.sessions


def test_who_comes_to_have_its_topics_from_one_broker_stays() -> None:
    """It had them from two, and takes that back when it has asked at the one."""
    ready = ReadySubscribers({"A", "B"})
    of_two, of_one = (
        [ReadyRequest(topic, 1, total) for topic in "AB"] for total in (2, 0)
    )
    for request in of_two:
        ready.update(request, "old", begins=True)
    for request in of_one:
        ready.update(request, "new", begins=True)

    for request in of_two:
        assert not ready.update(request, None, begins=False)

    assert ready.sessions == {1}
    for request in of_one:
        ready.update(request, None, begins=False)
    assert not ready._subscribers


def test_nothing_is_left_when_all_are_gone() -> None:
    ready = ReadySubscribers({"A"}, LIMIT)
    requests = [
        ReadyRequest(topic, session, 0, attempt)
        for attempt in range(3)
        for session in range(20)
        for topic in "ABC"
    ]
    for request in requests:
        ready.update(request, request.session % 3, begins=True)
    ready.expect({1: 1})

    for request in requests:
        ready.update(request, None, begins=False)

    assert not ready.sessions
    assert not ready._subscribers
    assert not ready._origins
    assert ready._size == 0

"""How long a broker receives from publishers that have left."""

from __future__ import annotations

from collections.abc import Callable, Collection

from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.forwarding.draining import (
    DETACH_GRACE_S,
    MAX_DRAIN_S,
    DrainingPublishers,
)

HERE, THERE = "10.0.0.1:1", "10.0.0.2:2"


def nobody(addresses: Collection[str]) -> Collection[str]:
    return ()


def everybody(addresses: Collection[str]) -> Collection[str]:
    return addresses


def only(address: str) -> Callable[[Collection[str]], Collection[str]]:
    return lambda addresses: {address} & set(addresses)


def test_nobody_is_left_before_the_grace_time_is_over() -> None:
    leaving = DrainingPublishers()
    leaving.begin(HERE, 100.0)

    assert leaving.next_check() == 100.0 + DETACH_GRACE_S
    assert leaving.finish(100.0 + DETACH_GRACE_S - 0.1, nobody) == []
    assert leaving.finish(100.0 + DETACH_GRACE_S, nobody) == [HERE]
    assert leaving.next_check() is None


def test_a_publisher_that_may_send_more_is_received_for_a_limited_time() -> None:
    leaving = DrainingPublishers()
    leaving.begin(HERE, 0.0)

    looks = 0
    while (check_at := leaving.next_check()) is not None and check_at < MAX_DRAIN_S:
        assert leaving.finish(check_at, everybody) == []
        looks += 1

    assert looks > 1
    assert leaving.finish(MAX_DRAIN_S, everybody) == [HERE]


def test_only_those_that_are_due_are_asked_about() -> None:
    leaving = DrainingPublishers()
    leaving.begin(HERE, 0.0)
    leaving.begin(THERE, 3.0)
    asked: list[set[str]] = []

    def expected(addresses: Collection[str]) -> Collection[str]:
        asked.append(set(addresses))
        return ()

    assert leaving.finish(0.0, expected) == []
    assert leaving.finish(DETACH_GRACE_S, expected) == [HERE]
    assert asked == [{HERE}]
    assert leaving.addresses() == [THERE]


def test_time_in_which_nothing_was_read_does_not_count() -> None:
    leaving = DrainingPublishers()
    leaving.begin(HERE, 0.0)

    leaving.postpone(MAX_DRAIN_S)

    assert leaving.finish(MAX_DRAIN_S + DETACH_GRACE_S - 0.1, nobody) == []
    assert leaving.finish(MAX_DRAIN_S + DETACH_GRACE_S, everybody) == []
    assert leaving.finish(2 * MAX_DRAIN_S, everybody) == [HERE]


def test_one_that_is_back_is_not_left() -> None:
    leaving = DrainingPublishers()
    leaving.begin(HERE, 0.0)

    leaving.cancel(HERE)
    leaving.cancel(THERE)

    assert leaving.addresses() == []
    assert leaving.finish(MAX_DRAIN_S, nobody) == []


@given(
    st.lists(st.tuples(st.sampled_from([HERE, THERE]), st.booleans(), st.floats(0, 9)))
)
def test_all_are_left_in_the_end(steps: list[tuple[str, bool, float]]) -> None:
    leaving = DrainingPublishers()
    now = 0.0
    for address, begins, later in steps:
        now += later
        if begins:
            leaving.begin(address, now)
        else:
            leaving.finish(now, only(address))

    while (check_at := leaving.next_check()) is not None:
        now = max(now, check_at)
        leaving.finish(now, everybody)

    assert leaving.addresses() == []

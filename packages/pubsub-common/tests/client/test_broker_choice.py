"""Which broker a client takes: the choice alone, with time as a number."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from pubsub_common.client.broker_choice import Ask, BrokerChoice, Drop, Step, Take
from pubsub_common.defaults import (
    BROKER_ANSWER_MAX_S,
    BROKER_ANSWER_S,
    BROKER_AVOID_S,
    BROKER_COMPARE_S,
    MAX_BROKERS,
)

A, B, C, D = BROKERS = tuple(f"10.0.0.{number}:5555" for number in (1, 2, 3, 4))


def choice_of(*brokers: str, seed: int = 1) -> BrokerChoice:
    return BrokerChoice(brokers, random.Random(seed))


def asked(steps: list[Step]) -> set[str]:
    return {step.broker for step in steps if isinstance(step, Ask)}


def taken(steps: list[Step]) -> list[str]:
    return [step.broker for step in steps if isinstance(step, Take)]


def begun(choice: BrokerChoice, now: float = 0.0, left: str | None = None) -> set[str]:
    """Begin a search; returns the first brokers to ask."""
    choice.begin(now, left=left)
    return asked(choice.tick(now))


def test_two_are_asked_and_the_emptier_is_taken() -> None:
    choice = choice_of(A, B)
    assert begun(choice) == {A, B}

    choice.heard(A, 10, 0.01, cut_off=False)
    assert choice.tick(0.01) == []
    choice.heard(B, 3, 0.02, cut_off=False)

    assert choice.tick(0.02) == [Drop(A), Take(B)]
    assert not choice.searching
    assert choice.next_deadline() is None
    assert choice.tick(9.0) == []


def test_of_many_two_at_random_are_asked() -> None:
    found = Counter(
        broker
        for seed in range(200)
        for broker in begun(choice_of(*BROKERS, seed=seed))
    )
    assert set(found) == set(BROKERS)
    assert sum(found.values()) == 400
    assert min(found.values()) > 60


def test_those_that_are_about_as_full_are_taken_at_random() -> None:
    found = Counter[str]()
    for seed in range(200):
        choice = choice_of(A, B, seed=seed)
        begun(choice)
        choice.heard(A, 333, 0.0, cut_off=False)
        choice.heard(B, 334, 0.0, cut_off=False)
        found.update(taken(choice.tick(0.0)))
    assert min(found[A], found[B]) > 60


def test_one_that_has_answered_waits_a_moment_for_the_other() -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.heard(A, 1000, 0.01, cut_off=False)

    assert choice.tick(0.01) == []
    assert choice.next_deadline() == 0.01 + BROKER_COMPARE_S
    assert choice.tick(0.01 + BROKER_COMPARE_S) == [Drop(B), Take(A)]


@pytest.mark.parametrize(("first_s", "wait_s"), [(0.2, 0.2), (3.0, BROKER_ANSWER_S)])
def test_one_that_needed_long_waits_as_long_for_the_other(
    first_s: float, wait_s: float
) -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.reached(A, 0.1)
    choice.heard(A, 1000, first_s, cut_off=False)

    assert choice.next_deadline() == first_s + wait_s
    assert choice.tick(first_s + wait_s) == [Drop(B), Take(A)]


def test_one_that_has_answered_waits_longer_for_one_that_is_there() -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.heard(A, 1000, 0.01, cut_off=False)
    choice.reached(B, 0.05)

    assert choice.next_deadline() == 0.01 + BROKER_ANSWER_S
    assert choice.tick(0.01 + BROKER_COMPARE_S) == []
    choice.heard(B, 10, 0.3, cut_off=False)
    assert choice.tick(0.3) == [Drop(A), Take(B)]


def test_one_whose_rival_cannot_be_had_is_taken_at_once() -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.failed(A, 0.1)
    choice.heard(B, 1000, 0.1, cut_off=False)
    assert choice.tick(0.1) == [Take(B)]


def test_when_neither_answers_the_next_two_are_asked() -> None:
    choice = choice_of(*BROKERS)
    first = begun(choice)

    assert choice.next_deadline() == BROKER_ANSWER_S
    steps = choice.tick(BROKER_ANSWER_S)

    assert {step.broker for step in steps if isinstance(step, Drop)} == first
    assert asked(steps) == set(BROKERS) - first


def test_one_to_which_there_is_a_connection_gets_more_time() -> None:
    choice = choice_of(*BROKERS)
    first, _ = begun(choice)
    choice.reached(first, 0.1)
    choice.reached(first, 3.0)
    choice.reached("nobody:1", 3.0)

    assert choice.next_deadline() == 0.1 + BROKER_ANSWER_MAX_S
    assert choice.tick(BROKER_ANSWER_S) == []
    assert len(asked(choice.tick(0.1 + BROKER_ANSWER_MAX_S))) == 2


def test_the_next_are_asked_at_once_where_neither_can_be_had() -> None:
    choice = choice_of(*BROKERS)
    first = begun(choice)
    for broker in first:
        choice.failed(broker, 0.1)
    assert asked(choice.tick(0.1)) == set(BROKERS) - first


def test_all_are_asked_again_more_and_more_patiently() -> None:
    choice = choice_of(A, B)
    now, waits = 0.0, []
    begun(choice)
    for passes in range(6):
        assert choice.passes == passes
        at = choice.next_deadline()
        assert at is not None
        waits.append(at - now)
        now = at
        assert asked(choice.tick(now)) == {A, B}
    assert waits == [BROKER_ANSWER_S, 1.0, 2.0, 4.0, 4.0, BROKER_ANSWER_MAX_S]


def test_those_that_cannot_be_had_at_all_are_not_asked_without_a_pause() -> None:
    choice = choice_of(A, B)
    for broker in begun(choice):
        choice.failed(broker, 0.1)
    assert choice.tick(0.1) == []
    assert choice.next_deadline() == BROKER_ANSWER_S
    assert asked(choice.tick(BROKER_ANSWER_S)) == {A, B}


def test_a_broker_that_was_left_is_asked_after_the_others() -> None:
    for seed in range(20):
        choice = choice_of(A, B, C, seed=seed)
        assert begun(choice, left=B) == {A, C}
        assert asked(choice.tick(BROKER_ANSWER_S)) == {B}


def test_a_broker_that_was_left_long_ago_is_as_good_as_the_others() -> None:
    choice = choice_of(A, B)
    assert begun(choice, left=B) == {A}
    choice.heard(A, 1, 0.1, cut_off=False)
    assert taken(choice.tick(0.1)) == [A]

    assert begun(choice, now=BROKER_AVOID_S + 0.1) == {A, B}


def test_where_the_only_other_one_answers_it_is_taken_at_once() -> None:
    choice = choice_of(A, B)
    begun(choice, left=A)
    choice.heard(B, 9999, 0.1, cut_off=False)
    assert choice.tick(0.1) == [Take(B)]


def test_one_that_is_cut_off_is_not_taken_where_another_is_not() -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.heard(A, 1, 0.1, cut_off=True)
    assert choice.tick(0.1) == []
    choice.heard(B, 1000, 0.3, cut_off=False)
    assert choice.tick(0.3) == [Drop(A), Take(B)]


def test_where_all_are_cut_off_one_of_them_is_taken() -> None:
    choice = choice_of(A, B)
    begun(choice)
    choice.heard(A, 1, 0.1, cut_off=True)
    choice.heard(B, 1000, 0.1, cut_off=True)
    assert choice.tick(0.1) == [Drop(B), Take(A)]


def test_where_only_one_answers_it_is_taken_though_it_is_cut_off() -> None:
    choice = choice_of(A, B)
    assert begun(choice, left=A) == {B}
    choice.heard(B, 1, 0.1, cut_off=True)
    assert asked(choice.tick(0.1)) == {A}
    assert asked(choice.tick(0.1 + BROKER_ANSWER_S)) == {B}
    choice.heard(B, 1, 0.7, cut_off=True)
    assert taken(choice.tick(0.7)) == [B]


def test_others_are_asked_before_one_that_is_cut_off_is_taken() -> None:
    choice = choice_of(*BROKERS)
    for broker in begun(choice):
        choice.heard(broker, 1, 0.1, cut_off=True)
    steps = choice.tick(0.1)
    assert len(asked(steps)) == 2
    assert taken(steps) == []


def test_who_stays_asks_the_others_once() -> None:
    choice = choice_of(A, B, C)
    choice.begin(0.0, stays_at=A)
    assert asked(choice.tick(0.0)) == {B, C}
    for broker in (B, C):
        choice.heard(broker, 1, 0.1, cut_off=True)

    assert set(choice.tick(0.1)) == {Drop(B), Drop(C)}
    assert not choice.searching
    assert choice.may_begin_at > 0.1


def test_who_has_lost_the_broker_where_it_stayed_goes_on_until_it_has_one() -> None:
    choice = choice_of(A, B)
    choice.begin(0.0, stays_at=A)
    assert asked(choice.tick(0.0)) == {B}
    choice.begin(0.1, left=A)
    assert asked(choice.tick(BROKER_ANSWER_S)) == {A}
    assert choice.searching


def test_brokers_that_one_has_told_of_are_asked_first() -> None:
    choice = choice_of(A, B)
    choice.learn([C, D])
    assert choice.known == (C, D, A, B)
    assert begun(choice) == {C, D}
    assert asked(choice.tick(BROKER_ANSWER_S)) == {A, B}


def test_the_newest_list_holds_and_what_the_user_gave_stays() -> None:
    choice = choice_of(A)
    assert not choice.several
    choice.learn([A, B])
    choice.learn([A, C])
    assert choice.several
    assert choice.known == (A, C)
    choice.learn([])
    assert choice.known == (A,)


def test_no_more_brokers_are_remembered_than_a_group_may_have() -> None:
    choice = choice_of(A)
    choice.learn([f"b{number}:1" for number in range(2 * MAX_BROKERS)])
    assert len(choice.known) == MAX_BROKERS + 1


def test_what_is_heard_of_others_is_of_no_interest() -> None:
    choice = choice_of(A, B)
    choice.heard(A, 1, 0.0, cut_off=False)
    choice.failed(B, 0.0)
    assert begun(choice) == {A, B}
    choice.heard(C, 1, 0.0, cut_off=False)
    assert choice.tick(0.0) == []


def test_a_search_that_ends_drops_all() -> None:
    choice = choice_of(A, B)
    begun(choice)
    assert {step.broker for step in choice.end()} == {A, B}
    assert choice.tick(9.0) == []

"""When publishers are asked again that have not answered."""

from __future__ import annotations

from pubsub_subscriber.streams.repetition import (
    REPEAT_EACH_S,
    REPEAT_MAX_S,
    REPEAT_S,
    Repetition,
)


def test_nothing_is_asked_while_nothing_is_awaited() -> None:
    repetition = Repetition()

    assert not repetition.is_due(0, 100.0)
    assert repetition.at is None


def test_it_is_asked_again_after_a_second_and_then_less_and_less_often() -> None:
    repetition = Repetition()
    asked = []
    now = 0.0
    while now < 200:
        if repetition.is_due(2, now):
            asked.append(now)
        now += 0.25

    assert asked == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0, 191.0]


def test_while_answers_come_nobody_is_asked() -> None:
    repetition = Repetition()
    for step in range(50):
        assert not repetition.is_due(50 - step, step * 0.9)


def test_what_is_awaited_anew_is_asked_soon() -> None:
    repetition = Repetition()
    for now in range(100):
        repetition.is_due(1, float(now))
    assert not repetition.is_due(2, 100.0)
    assert repetition.at == 100.0 + REPEAT_S
    assert not repetition.is_due(0, 101.0)
    assert repetition.at is None
    assert not repetition.is_due(1, 200.0)
    assert repetition.at == 200.0 + REPEAT_S


def test_what_could_not_be_asked_is_asked_later() -> None:
    repetition = Repetition()
    repetition.is_due(1, 0.0)
    assert repetition.is_due(1, REPEAT_S)
    repetition.put_off(REPEAT_S)

    assert not repetition.is_due(1, REPEAT_S + 0.5)
    assert repetition.is_due(1, 2 * REPEAT_S)
    # The time did not grow for that.
    assert repetition.at == 4 * REPEAT_S


def test_the_time_grows_until_the_replies_of_a_busy_publisher_come() -> None:
    repetition = Repetition()
    asked_at, now = 0.0, 0.0
    # Each request replaces the one before; a reply takes 40 s.
    while now - asked_at < 40:
        now += 0.5
        if repetition.is_due(1, now):
            asked_at = now

    assert asked_at <= REPEAT_MAX_S


def test_many_topics_are_asked_again_later_as_their_replies_take_longer() -> None:
    for awaited in (10_000, 1_000_000):
        repetition = Repetition()
        repetition.is_due(awaited, 0.0)

        assert repetition.at == awaited * REPEAT_EACH_S > REPEAT_S


def test_a_reply_that_never_comes_is_asked_for_without_end() -> None:
    repetition = Repetition()
    asked = 0
    for turn in range(3000):
        asked += repetition.is_due(1, turn * REPEAT_MAX_S)

    assert asked == 2999

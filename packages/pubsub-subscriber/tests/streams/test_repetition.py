"""When publishers are asked again that have not answered."""

from __future__ import annotations

from pubsub_subscriber.streams.repetition import (
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
    while now < 20:
        if repetition.is_due(2, now):
            asked.append(now)
        now += 0.25

    assert asked == [1.0, 3.0, 7.0, 11.0, 15.0, 19.0]


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
    assert repetition.at is not None
    assert repetition.at <= 2 * REPEAT_S + REPEAT_MAX_S

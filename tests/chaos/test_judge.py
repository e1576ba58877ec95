"""The judge of the chaos tests must find every kind of violation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_judge import ACCOUNTED_NS, Verdict, judge, unaccounted
from chaos_logs import LogWriter, PublisherLog, SubscriberLog
from chaos_owners import Owners

SESSION = 7
TEN = range(10)
NOBODY = Owners(())


class Logs:
    """Logs of one publisher, which published ten events and left, and of one
    subscriber, which was ready before the first and left long after the last."""

    def __init__(self, folder: Path) -> None:
        self.publisher_file = LogWriter(folder / "pub")
        self.subscriber_file = LogWriter(folder / "sub")
        self.publisher = PublisherLog(folder / "pub")
        self.subscriber = SubscriberLog(folder / "sub", "sub")

    def published(self, *, waited: bool = True, left: bool = True) -> None:
        write = self.publisher_file.write
        write("S", SESSION, "pub", int(waited))
        write("P", 100, SESSION, "A", 0, 4)
        write("P", 200, SESSION, "A", 5, 9)
        if left:
            write("D", 300)

    def began(self, *, ready_ns: int | None = 50, history: bool = False) -> None:
        self.subscriber_file.write("S", 10, int(history))
        if ready_ns is not None:
            self.subscriber_file.write("R", ready_ns)

    def event(self, number: int, counter: int | None = None) -> None:
        at = number if counter is None else counter
        self.subscriber_file.write("E", SESSION, "A", number, "pub", at)

    def gap(self, first: int, last: int) -> None:
        self.subscriber_file.write("G", SESSION, "A", first, last)

    def left(self, left_ns: int = 300 + ACCOUNTED_NS) -> None:
        self.subscriber_file.write("X", left_ns)

    def refresh(self) -> None:
        self.publisher.refresh()
        self.subscriber.refresh()

    def verdict(self) -> Verdict:
        self.refresh()
        return judge([self.publisher], [self.subscriber], NOBODY)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def usual(logs: Logs, *numbers: int) -> Verdict:
    """The verdict on a subscriber that received these events."""
    logs.published()
    logs.began()
    for number in numbers:
        logs.event(number)
    logs.left()
    return logs.verdict()


def test_all_that_was_received_is_well(logs: Logs) -> None:
    verdict = usual(logs, *TEN)
    assert (verdict.published, verdict.due, verdict.received) == (10, 10, 10)
    assert (verdict.lost, verdict.unexplained) == (0, 0)
    assert not verdict.problems


@pytest.mark.parametrize("missing", [{0}, {3}, {9}, {0, 1, 5, 9}, set(TEN)])
def test_what_nobody_tells_of_is_unexplained(logs: Logs, missing: set[int]) -> None:
    verdict = usual(logs, *(number for number in TEN if number not in missing))
    assert verdict.unexplained == len(missing)
    assert verdict.due == 10
    assert verdict.problems


def test_what_was_reported_lost_is_explained(logs: Logs) -> None:
    logs.published()
    logs.began()
    for number in (0, 1, 2):
        logs.event(number)
    logs.gap(3, 5)
    for number in (6, 7, 8, 9):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.received, verdict.lost) == (10, 7, 3)
    assert verdict.unexplained == 0
    assert not verdict.problems


def test_what_was_recovered_is_received_too(logs: Logs) -> None:
    counts = (
        '{"received": 10, "recovered": 3, "lost": 0, "reordered": 0, "malformed": 0}'
    )
    logs.subscriber_file.write("C", counts)
    verdict = usual(logs, *TEN)
    assert (verdict.received, verdict.recovered, verdict.unexplained) == (10, 3, 0)
    assert not verdict.problems


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ((0, 1, 1, *range(2, 10)), "twice"),
        ((*TEN, 4), "twice"),
        ((0, 2, 1, *range(3, 10)), "out of order"),
        ((9, *range(9)), "out of order"),
    ],
)
def test_twice_and_out_of_order_is_a_problem(
    logs: Logs, numbers: tuple[int, ...], word: str
) -> None:
    verdict = usual(logs, *numbers)
    assert any(word in problem for problem in verdict.problems)
    assert verdict.received == 10


def test_lost_and_delivered_all_the_same_is_a_problem(logs: Logs) -> None:
    logs.published()
    logs.began()
    logs.gap(0, 1)
    for number in range(1, 10):
        logs.event(number)
    logs.left()
    assert "1 events both delivered and reported lost" in logs.verdict().problems[0]


def test_what_was_never_published_cannot_be_lost(logs: Logs) -> None:
    logs.published()
    logs.began()
    for number in TEN:
        logs.event(number)
    logs.gap(10, 12)
    logs.left()
    assert "9 was the last" in logs.verdict().problems[0]


def test_a_payload_of_another_number_is_a_problem(logs: Logs) -> None:
    logs.published()
    logs.began()
    for number in TEN:
        logs.event(number, counter=number if number != 6 else 5)
    logs.left()
    assert "holds pub's number 5" in logs.verdict().problems[0]


def test_an_unknown_session_is_a_problem(logs: Logs) -> None:
    logs.subscriber_file.write("E", 8, "A", 0, "pub", 0)
    assert "unknown session 8" in usual(logs, *TEN).problems[0]


def test_an_event_of_a_topic_that_was_not_subscribed_is_a_problem(
    logs: Logs, tmp_path: Path
) -> None:
    logs.subscriber = SubscriberLog(tmp_path / "sub", "sub", ("B",))
    verdict = usual(logs, *TEN)
    assert verdict.problems == ["sub: A, to which it has not subscribed"]


def test_of_a_topic_that_was_not_subscribed_nothing_is_due(
    logs: Logs, tmp_path: Path
) -> None:
    logs.subscriber = SubscriberLog(tmp_path / "sub", "sub", ("B",))
    verdict = usual(logs)
    assert (verdict.due, verdict.unexplained, verdict.problems) == (0, 0, [])


def test_before_a_subscriber_was_ready_nothing_is_due(logs: Logs) -> None:
    logs.published()
    logs.began(ready_ns=150)
    for number in range(5, 10):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.unexplained) == (5, 0)


def test_of_the_history_all_is_due(logs: Logs) -> None:
    logs.published()
    logs.began(ready_ns=150, history=True)
    for number in range(5, 10):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.unexplained) == (10, 5)


def test_of_a_publisher_that_does_not_wait_all_is_due_from_the_first_received(
    logs: Logs,
) -> None:
    logs.published(waited=False)
    logs.began()
    for number in (3, 4, 6, 7, 8, 9):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.unexplained) == (7, 1)


def test_what_dies_with_a_publisher_is_counted_apart(logs: Logs) -> None:
    logs.published(left=False)
    logs.publisher.killed = True
    logs.began()
    for number in (0, 1, 3, 4, 5, 6):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.received, verdict.died) == (10, 6, 3)
    assert verdict.unexplained == 1


def test_more_than_a_killed_publisher_could_write_down_may_arrive(logs: Logs) -> None:
    logs.published(left=False)
    logs.publisher.killed = True
    logs.began()
    for number in range(13):
        logs.event(number)
    logs.left()
    verdict = logs.verdict()
    assert (verdict.due, verdict.received, verdict.died) == (13, 13, 0)
    assert not verdict.problems


@pytest.mark.parametrize("left_ns", [None, 250, 300 + ACCOUNTED_NS - 1])
def test_a_subscriber_that_left_or_was_killed_answers_for_what_it_had(
    logs: Logs, left_ns: int | None
) -> None:
    logs.published()
    logs.began()
    for number in (0, 1, 3):
        logs.event(number)
    if left_ns is not None:
        logs.left(left_ns)
    verdict = logs.verdict()
    assert (verdict.due, verdict.unexplained) == (4, 1)


@pytest.mark.parametrize("wrong", ["received", "lost", "reordered", "malformed"])
def test_counts_that_are_not_those_of_the_events_are_a_problem(
    logs: Logs, wrong: str
) -> None:
    zeros = ("lost", "duplicated", "reordered", "malformed")
    counts = {"received": 10} | dict.fromkeys(zeros, 0)
    counts[wrong] += 1
    logs.subscriber_file.write("C", str(counts).replace("'", '"'))
    assert usual(logs, *TEN).problems == [
        f"sub counts {counts[wrong]} {wrong}, not {counts[wrong] - 1}"
    ]


def test_a_torn_last_line_is_ignored(logs: Logs, tmp_path: Path) -> None:
    logs.published()
    logs.began()
    logs.event(0)
    with (tmp_path / "sub").open("a") as file:
        file.write(f"E {SESSION} A 1 pu")
    verdict = logs.verdict()
    assert (verdict.due, verdict.received) == (1, 1)

    with (tmp_path / "sub").open("a") as file:
        file.write("b 1\n")

    assert logs.verdict().received == 2


@pytest.mark.parametrize(
    ("deliver", "holes"),
    [
        (lambda logs: [logs.event(number) for number in range(9)], 1),
        (lambda logs: [logs.event(number) for number in TEN], 0),
        (lambda logs: [*map(logs.event, range(8)), logs.gap(8, 9)], 0),
    ],
)
def test_a_subscriber_has_accounted_for_all_when_it_knows_of_the_last(
    logs: Logs, deliver: Callable[[Logs], object], holes: int
) -> None:
    logs.published()
    logs.began()
    deliver(logs)
    logs.refresh()
    assert len(unaccounted([logs.publisher], [logs.subscriber], NOBODY)) == holes

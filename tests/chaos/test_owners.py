"""The judge with owned topics: the events that are due, and the forbidden ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chaos_flow import Flow
from chaos_judge import ACCOUNTED_NS, Verdict, judge, unaccounted
from chaos_logs import LogWriter, PublisherLog, SubscriberLog
from chaos_owners import Owners
from chaos_parts import Publisher, Subscriber

STRONG, WEAK = 7, 8
LAST_NS = 10_000


class Logs:
    """Two publishers, each of which publishes an event on A every 100 ns until 10,000;
    the stronger one is the owner from 1000 on."""

    def __init__(self, folder: Path) -> None:
        self.publishers: dict[int, PublisherLog] = {}
        self.owners = Owners(["A"])
        self.owners.begin({"A": STRONG}, 1000, told=False)
        for session in (STRONG, WEAK):
            write = LogWriter(folder / f"pub{session}").write
            write("S", session, f"pub{session}", 1)
            for number in range(LAST_NS // 100):
                write("P", number * 100, session, "A", number, number)
            write("D", LAST_NS)
            self.publishers[session] = PublisherLog(folder / f"pub{session}")
        self.write = LogWriter(folder / "sub").write
        self.write("S", 1, 0)
        self.write("R", 10)
        self.subscriber = SubscriberLog(folder / "sub", "sub")

    def events(self, session: int, *numbers: int) -> None:
        for number in numbers:
            self.write("E", session, "A", number, f"pub{session}", number)

    def verdict(self) -> Verdict:
        self.write("X", LAST_NS + ACCOUNTED_NS)
        self.refresh()
        return judge([*self.publishers.values()], [self.subscriber], self.owners)

    def refresh(self) -> None:
        for log in self.publishers.values():
            log.refresh()
        self.subscriber.refresh()


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def test_of_the_owner_all_is_due_and_of_the_other_nothing(logs: Logs) -> None:
    logs.events(STRONG, *range(10, 100))
    verdict = logs.verdict()
    assert (verdict.due, verdict.received, verdict.unexplained) == (90, 90, 0)
    assert not verdict.problems


def test_what_is_missing_of_the_owner_is_unexplained(logs: Logs) -> None:
    logs.events(STRONG, *range(10, 50), *range(53, 99))
    assert logs.verdict().unexplained == 4


def test_what_is_delivered_of_another_is_a_problem(logs: Logs) -> None:
    logs.events(STRONG, *range(10, 100))
    logs.events(WEAK, 50, 51)
    (problem,) = logs.verdict().problems
    assert "2 events delivered" in problem


def test_skipped_events_must_not_be_reported_lost(logs: Logs) -> None:
    logs.events(STRONG, *range(10, 100))
    logs.write("G", WEAK, "A", 20, 22)
    (problem,) = logs.verdict().problems
    assert "3 events reported lost" in problem


def test_while_owners_change_either_may_be_delivered_or_not(logs: Logs) -> None:
    logs.owners.end(["A"], 5000)
    logs.owners.begin({"A": WEAK}, 7000, told=False)
    logs.events(STRONG, *range(10, 55))
    logs.events(WEAK, *range(62, 100))
    verdict = logs.verdict()
    assert (verdict.due, verdict.received) == (83, 83)
    assert not verdict.problems


def test_nor_twice_while_owners_change(logs: Logs) -> None:
    logs.owners.end(["A"], 5000)
    logs.owners.begin({"A": WEAK}, 7000, told=False)
    logs.events(STRONG, *range(10, 55))
    logs.events(WEAK, *range(62, 100))
    logs.events(STRONG, 54)
    assert "1 events twice" in logs.verdict().problems[0]


def test_an_owner_that_disconnects_is_received_to_its_end(logs: Logs) -> None:
    logs.owners.end(["A"], 9000, leaving=True)
    logs.events(STRONG, *range(10, 98))
    logs.events(WEAK, 98, 99)  # so it owns the topic
    verdict = logs.verdict()
    assert verdict.unexplained == 2
    assert len(verdict.problems) == 1


def test_until_the_end_is_there_something_is_not_accounted_for(logs: Logs) -> None:
    logs.events(STRONG, *range(10, 99))
    logs.refresh()
    publishers = [*logs.publishers.values()]
    assert len(unaccounted(publishers, [logs.subscriber], logs.owners)) == 1
    logs.events(STRONG, 99)
    logs.refresh()
    assert not unaccounted(publishers, [logs.subscriber], logs.owners)


def test_a_tenure_of_which_words_are_still_under_way_begins_with_the_last(
    logs: Logs,
) -> None:
    logs.owners.tenures[0].told = True
    logs.write("T", 3000, WEAK, 1)
    logs.events(WEAK, *range(20, 30))
    logs.events(STRONG, *range(30, 100))
    verdict = logs.verdict()
    assert (verdict.unexplained, verdict.problems) == (0, [])


def test_what_died_with_an_owner_is_counted_and_with_another_not(logs: Logs) -> None:
    logs.owners.end(["A"], 9500)
    for log in logs.publishers.values():
        log.killed = True
    logs.events(STRONG, *range(10, 97))
    verdict = logs.verdict()
    assert (verdict.died, verdict.unexplained) == (3, 0)


def test_of_an_owned_topic_only_the_strongest_must_be_received(logs: Logs) -> None:
    process: Any = SimpleNamespace(name="x")
    publishers = [
        Publisher(process, log, {"topics": ["A"], "more": {"strengths": {"A": each}}})
        for each, log in zip((2, 1), logs.publishers.values(), strict=True)
    ]
    subscribers = [Subscriber(process, logs.subscriber, {})]
    logs.events(STRONG, *range(10, 50))
    logs.refresh()
    flow = Flow(publishers, subscribers, {"A"}, 5000)
    assert flow.owners == {"A": STRONG}
    assert len(flow.silent()) == 1

    logs.events(STRONG, 50)
    logs.refresh()
    assert not flow.silent()
    assert len(Flow(publishers, subscribers, (), 5000).silent()) == 1

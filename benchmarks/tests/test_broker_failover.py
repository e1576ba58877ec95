"""The conclusions about a run: when the clients were at other brokers."""

from __future__ import annotations

import json

from broker_failover.figure import draw
from broker_failover.samples import Run, words

RUN = Run(
    model="decentralized",
    total=10,
    published_a_second=4.0,
    received=[(-0.1, 90.0), (0.0, 80.0), (0.1, 90.0)],
    clients={
        "first": [(-0.1, 10), (0.1, None), (0.5, None)],
        "second": [(-0.1, 0), (0.1, 3), (0.5, 6)],
        "third": [(-0.1, 0), (0.2, 2), (0.6, 4)],
    },
    lost=3,
)


def test_clients_have_moved_when_the_other_brokers_have_them() -> None:
    assert RUN.moved_s(0.5) == 0.2
    assert RUN.moved_s() == 0.6


def test_clients_that_are_nowhere_have_not_moved() -> None:
    missing = Run.of(RUN.document() | {"total": 11})
    assert missing.moved_s() is None
    assert "all after not at all" in words(missing)


def test_a_run_is_the_same_after_it_was_written() -> None:
    document = json.loads(json.dumps(RUN.document()))
    assert words(Run.of(document)) == words(RUN)
    assert document["moved_100_s"] == 0.6


def test_the_figure_is_the_same_each_time() -> None:
    drawings = [draw([RUN, RUN]).render("svg") for _ in range(2)]
    assert drawings[0] == drawings[1]
    assert b"clients of each broker" in drawings[0]

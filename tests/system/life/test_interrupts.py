"""Exceptions from outside, at any time and at any line of our code: interrupted objects
can be used afterwards, also by other threads; no accepted event is lost or repeated."""

from __future__ import annotations

from typing import Any

import pytest
from support.life import run_program
from support.rings import full_size

# The interrupts of each test.
COUNT = 3000 if full_size() else 80
CALLS = 400 if full_size() else 12
DEADLINE_S = 600.0 if full_size() else 60.0

MODELS = pytest.mark.parametrize("model", ["centralized", "decentralized"])
ROLES = pytest.mark.parametrize("role", ["publisher", "subscriber"])


@MODELS
@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("single", {}),
        ("single", {"pause_s": 0.0002}),
        ("single", {"overflow": "block", "queue_limit": 20, "size": 2000}),
        ("single", {"history": 1000, "recover": True}),
        ("single", {"size": 200_000, "count": COUNT // 3}),
        ("many", {}),
        ("many", {"overflow": "block", "queue_limit": 5, "size": 1000}),
        ("generated", {}),
        ("two", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_publishing(model: str, case: str, values: dict[str, Any]) -> None:
    run_program(
        "interrupted_publishing",
        case,
        **{"model": model, "count": COUNT, "deadline_s": DEADLINE_S, **values},
    )


WAYS = [
    "receive",
    "receive_for",
    "receive_at_once",
    "iteration",
    "one_iterator_each",
    "batches",
    "parse",
    "notify",
    "wait_until_ready",
]
PLAIN: dict[str, Any] = {"model": "decentralized", "batch": 20}
RECOVERY: dict[str, Any] = {
    "model": "centralized",
    "recover": True,
    "history": 100_000,
    "odd": True,
}
LARGE: dict[str, Any] = {
    "model": "decentralized",
    "recover": True,
    "history": 1000,
    "size": 100_000,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("values", [PLAIN, RECOVERY], ids=["plain", "recovery"])
def test_receiving(way: str, values: dict[str, Any]) -> None:
    run_program(
        "interrupted_receiving",
        "each_once",
        way=way,
        count=COUNT,
        deadline_s=DEADLINE_S,
        **values,
    )


@pytest.mark.parametrize("apart", [False, True], ids=["one topic", "two topics"])
@pytest.mark.parametrize("way", ["receive", "iteration", "batches"])
def test_receiving_large_events(way: str, apart: bool) -> None:
    run_program(
        "interrupted_receiving",
        "each_once",
        way=way,
        batch=3,
        apart=apart,
        count=COUNT,
        deadline_s=DEADLINE_S,
        **LARGE,
    )


@MODELS
@ROLES
@pytest.mark.parametrize("case", ["configure", "again", "disconnect"])
def test_beginning_and_ending(model: str, role: str, case: str) -> None:
    run_program(
        "interrupted_control",
        case,
        model=model,
        role=role,
        count=CALLS,
        deadline_s=DEADLINE_S,
    )


@MODELS
@pytest.mark.parametrize("case", ["waits", "topics"])
def test_waits_and_changes(model: str, case: str) -> None:
    run_program(
        "interrupted_control", case, model=model, count=COUNT, deadline_s=DEADLINE_S
    )


def test_a_broker() -> None:
    run_program("interrupted_control", "broker", count=CALLS, deadline_s=DEADLINE_S)


# At each line


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"threads": False},
        {"before": 3},
        {"before": 3, "call": "publish_events"},
        {"before": 1, "size": 200_000},
        {"history": 5, "overflow": "block"},
    ],
    ids=lambda values: "-".join(values) or "plain",
)
def test_each_line_of_publishing(values: dict[str, Any]) -> None:
    run_program("raised_at_each_line", "publish", model="decentralized", **values)


@pytest.mark.parametrize("recover", [False, True], ids=["plain", "recovery"])
@pytest.mark.parametrize(
    "way",
    [
        "receive_for",
        "receive_at_once",
        "receive",
        "iteration",
        "batches",
        "parse",
        "wait_until_ready",
    ],
)
def test_each_line_of_receiving(way: str, recover: bool) -> None:
    model = "centralized" if recover else "decentralized"
    run_program("raised_at_each_line", "receive", model=model, way=way, recover=recover)


def test_each_line_of_receiving_large_events() -> None:
    run_program(
        "raised_at_each_line",
        "receive",
        model="decentralized",
        way="receive",
        size=100_000,
        batch=2,
    )


@ROLES
@pytest.mark.parametrize("call", ["configure", "disconnect"])
def test_each_line_of_beginning_and_ending(role: str, call: str) -> None:
    run_program(
        "raised_at_each_line",
        "begin_and_end",
        model="decentralized",
        role=role,
        call=call,
    )


@pytest.mark.parametrize(
    "call",
    [
        "add_topics",
        "remove_topics",
        "wait_for_subscribers",
        "publisher.stop",
        "counts",
        "latency_error_ns",
    ],
)
def test_each_line_of_other_calls(call: str) -> None:
    run_program("raised_at_each_line", "change", model="decentralized", call=call)

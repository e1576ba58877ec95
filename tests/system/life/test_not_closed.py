"""Objects without `disconnect`: a warning, nothing left, and all accepted events
arrive."""

from __future__ import annotations

import pytest
from support.life import run_program


@pytest.mark.parametrize("role", ["publisher", "subscriber", "broker"])
@pytest.mark.parametrize(
    "how", ["plain", "used", "stopped", "in a cycle", "in another thread"]
)
def test_a_dropped_object_is_closed(role: str, how: str) -> None:
    run_program("not_closed", "dropped", model="decentralized", role=role, how=how)


@pytest.mark.parametrize(
    "case",
    [
        "not_configured",
        "keeps_running",
        "callback_raised",
        "asyncio_dropped",
        "nobody_there",
    ],
)
def test_what_is_dropped(case: str) -> None:
    run_program("not_closed", case, model="decentralized")


@pytest.mark.parametrize(
    "how",
    [
        "end",
        "exit",
        "exception",
        "small",
        "many",
        "in a function",
        "in a thread",
        "in atexit",
        "with a subscriber",
        "with a broker",
        "stopped",
        "daemon thread receives",
        "multiprocessing",
        "asyncio",
    ],
)
def test_a_program_ends_and_all_arrives(how: str) -> None:
    run_program("not_closed", "program_ends", model="decentralized", how=how)


def test_a_program_ends_and_all_arrives_through_a_broker() -> None:
    run_program(
        "not_closed",
        "program_ends",
        model="centralized",
        how="end",
        overflow="block",
        queue_limit=10,
    )


def test_a_program_with_a_broker_ends() -> None:
    run_program("not_closed", "broker_ends")

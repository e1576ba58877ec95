"""Children of a fork neither use nor harm what their parent has configured."""

from __future__ import annotations

import pytest
from support.life import run_program

MODELS = pytest.mark.parametrize("model", ["centralized", "decentralized"])


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_each_call_is_refused_at_once(role: str) -> None:
    run_program("forks", "calls", model="decentralized", role=role)


@pytest.mark.parametrize(
    "how", ["nothing", "disconnect", "collect", "close", "broker", "exit"]
)
def test_the_end_of_a_child_is_no_end_for_its_parent(how: str) -> None:
    run_program("forks", "ends", model="decentralized", how=how)


@MODELS
def test_forks_while_other_threads_are_busy(model: str) -> None:
    run_program("forks", "while_busy", model=model)


@pytest.mark.parametrize(
    "case",
    ["own_objects", "not_configured", "asyncio_objects", "of_broker", "with_signals"],
)
def test_a_child(case: str) -> None:
    run_program("forks", case, model="decentralized")


@pytest.mark.parametrize("how", ["process", "pool"])
def test_multiprocessing(how: str) -> None:
    run_program("forks", "of_multiprocessing", model="centralized", how=how)

"""Signal handlers, callbacks and logging handlers that call our objects, stop or end
them, or raise."""

from __future__ import annotations

from typing import Any

import pytest
from support.life import run_program

MODELS = pytest.mark.parametrize("model", ["centralized", "decentralized"])
ENDS = pytest.mark.parametrize("call", ["stop", "disconnect"])
ROLES = pytest.mark.parametrize("role", ["publisher", "subscriber"])


@pytest.mark.parametrize(
    "values",
    [{}, {"size": 100_000}, {"overflow": "block", "queue_limit": 20}],
    ids=["plain", "large", "block"],
)
def test_a_signal_handler_publishes(values: dict[str, Any]) -> None:
    run_program("signals", "publishes", model="decentralized", seconds=0.4, **values)


@MODELS
@pytest.mark.parametrize("size", [0, 40_000], ids=["small", "large"])
def test_a_signal_handler_publishes_on_the_same_topic(model: str, size: int) -> None:
    run_program("signals", "publishes_here", model=model, seconds=0.4, size=size)


@ENDS
@pytest.mark.parametrize(
    "values", [{}, {"overflow": "block", "queue_limit": 10}], ids=["drop", "block"]
)
def test_a_signal_handler_ends_publish_event(call: str, values: dict[str, Any]) -> None:
    run_program(
        "signals", "ends_publishing", model="decentralized", call=call, **values
    )


@ENDS
def test_a_signal_handler_ends_publish(call: str) -> None:
    run_program("signals", "ends_generating", model="centralized", call=call)


@ENDS
@pytest.mark.parametrize(
    "way",
    ["iteration", "batches", "notify", "receive", "receive_for", "wait_until_ready"],
)
def test_a_signal_handler_ends_receiving(call: str, way: str) -> None:
    run_program("signals", "ends_receiving", model="decentralized", call=call, way=way)


@ENDS
@ROLES
def test_a_signal_handler_ends_configure(call: str, role: str) -> None:
    run_program("signals", "ends_configure", call=call, role=role)


@ENDS
def test_a_signal_handler_ends_a_broker(call: str) -> None:
    run_program("signals", "ends_broker", call=call)


@ROLES
def test_ctrl_c_in_the_plainest_loop(role: str) -> None:
    run_program("signals", "interrupt_keys", model="decentralized", role=role)


# Logging handlers and callbacks


@MODELS
@pytest.mark.parametrize("own", [True, False], ids=["its own", "another's"])
def test_a_logging_handler_publishes(model: str, own: bool) -> None:
    run_program("callbacks", "logging_handler", model=model, own=own)


def test_a_logging_handler_raises() -> None:
    run_program("callbacks", "raising_handler", model="decentralized")


@pytest.mark.parametrize("what", ["publish", "stop", "disconnect", "raise"])
@pytest.mark.parametrize("case", ["on_event", "on_publisher", "on_sent", "lazy_events"])
def test_callbacks(case: str, what: str) -> None:
    run_program("callbacks", case, model="decentralized", what=what)


@pytest.mark.parametrize(
    "what", ["publish", "stop", "disconnect", "raise", "receive", "counts"]
)
def test_a_callback_for_losses(what: str) -> None:
    run_program("callbacks", "on_gap", model="centralized", what=what)


def test_a_callback_of_the_control_thread_changes_topics() -> None:
    run_program("callbacks", "on_publisher", model="centralized", what="add")


def test_what_the_garbage_collector_finds_publishes() -> None:
    run_program("callbacks", "dropped_in_callback", model="decentralized")

"""Fixtures of the tests that need all roles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import running_roles
from support.running_roles import (
    MODELS,
    WAIT_S,
    Program,
    Receiver,
    RunningBroker,
    Security,
)

from pubsub_common.protocol.messages import Model
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    model: Model = request.param
    return model


@pytest.fixture
def run_broker(
    model: Model, stack: contextlib.ExitStack, security: Security | None
) -> Callable[..., RunningBroker]:
    """Runs brokers of the model."""

    def run(**options: Any) -> RunningBroker:
        if security is not None:
            options.setdefault("secure", security.folder)
        broker = RunningBroker(model, **options)
        stack.callback(broker.stop)
        return broker

    return run


@pytest.fixture
def new_publisher(
    stack: contextlib.ExitStack, security: Security | None
) -> Callable[..., Publisher]:
    """Makes publishers of the broker at a port, connected."""

    def make(port: int, *topics: str, **options: Any) -> Publisher:
        publisher = Publisher(
            **{
                "broker_address": "127.0.0.1",
                "broker_port": port,
                "topics": topics or ("A",),
                "bind_port": 0,
                "connect_timeout_s": WAIT_S,
                "sleep_period": 0.0,
                "linger_s": 1.0,
                "keys": None if security is None else security.publisher,
                **options,
            }
        )
        return stack.enter_context(publisher)

    return make


@pytest.fixture
def new_subscriber(
    model: Model, stack: contextlib.ExitStack, security: Security | None
) -> Callable[..., Subscriber]:
    """Makes subscribers of the broker at a port, connected."""

    def make(port: int, *topics: str, **options: Any) -> Subscriber:
        subscriber = Subscriber(
            **{
                "broker_address": "127.0.0.1",
                "broker_port": port,
                "topics": topics or ("A",),
                "indefinite": "max_event_count" not in options,
                "centralized": model == "centralized",
                "connect_timeout_s": WAIT_S,
                "keys": None if security is None else security.subscriber,
                **options,
            }
        )
        return stack.enter_context(subscriber)

    return make


@pytest.fixture
def receive(stack: contextlib.ExitStack) -> Callable[[Subscriber], Receiver]:
    """Receives in a thread until the end of the test."""

    def begin(subscriber: Subscriber) -> Receiver:
        receiver = Receiver(subscriber)
        stack.callback(receiver.stop)
        return receiver

    return begin


@pytest.fixture
def run(tmp_path: Path, stack: contextlib.ExitStack) -> Callable[..., Program]:
    """Starts console scripts, and kills the running ones after the test."""

    def start(name: str, *argv: object) -> Program:
        security = running_roles.security
        if security is not None:
            argv = (*argv, *security.words[name])
        program = Program(tmp_path, name, *argv)
        stack.callback(program.kill)
        return program

    return start

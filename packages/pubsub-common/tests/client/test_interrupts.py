"""Exceptions of signal handlers, and raised at any line, leave a client whole."""

from __future__ import annotations

import dataclasses
import random
import signal
from collections.abc import Iterator
from typing import Final

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.interrupted_calls import Interrupted, call_with, raise_interrupted
from support.threads import ended, in_thread

from pubsub_common.client import control_client, registration
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.control_client import ControlClient
from pubsub_common.client.identity import Identity
from pubsub_common.net import changed, waker
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S

IDENTITY: Final = Identity(
    "subscriber", ("A",), "127.0.0.1", "realtime", "decentralized"
)
FILES: Final = [
    str(module.__file__) for module in (control_client, registration, changed, waker)
]


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def own_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """One that ends only when all its sockets are closed."""
    context = new_context()
    yield context
    assert terminate_context(context)


@pytest.fixture
def client(
    broker: FakeBroker, own_context: zmq.Context[zmq.Socket[bytes]]
) -> Iterator[ControlClient]:
    endpoint = f"127.0.0.1:{broker.port}"
    client = ControlClient(
        own_context, BrokerPlaces.of(endpoint), IDENTITY, lambda _: None
    )
    client.start()
    client.wait_registered(WAIT_S)
    yield client
    assert ended(in_thread(lambda: client.close({})))
    assert len(broker.farewells()) == 1


def change(client: ControlClient, number: int) -> None:
    identity = dataclasses.replace(IDENTITY, topics=("A", f"T{number}"))
    client.change(identity, WAIT_S)


def test_raised_at_any_line_of_a_change_all_later_ones_are_told(
    client: ControlClient, broker: FakeBroker
) -> None:
    line = 0
    while call_with(
        raise_interrupted, line := line + 1, lambda: change(client, 0), *FILES
    ):
        assert ended(in_thread(lambda: change(client, line)))
        assert broker.of(Register)[-1].topics == ["A", f"T{line}"]
    assert line > 20


def test_raised_at_any_line_of_a_wake_up_the_next_one_works(
    client: ControlClient,
) -> None:
    line = 0
    while call_with(raise_interrupted, line := line + 1, client.wake, *FILES):
        assert ended(in_thread(lambda: change(client, line)))
    assert line > 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_hundreds_of_signals_during_changes_leave_it_whole(
    client: ControlClient, broker: FakeBroker
) -> None:
    def handle(*_: object) -> None:
        client.wake()
        raise Interrupted

    before = signal.signal(signal.SIGALRM, handle)
    numbers = iter(range(10**9))
    interrupts = 0
    try:
        while interrupts < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3), 0.5)
                while True:
                    change(client, next(numbers))
            except Interrupted:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    last = next(numbers)
    assert ended(in_thread(lambda: change(client, last)))
    assert broker.of(Register)[-1].topics == ["A", f"T{last}"]

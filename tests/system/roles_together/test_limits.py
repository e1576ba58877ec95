"""Clients at a broker with limits per address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.ports import free_port
from support.running_roles import WAIT_S, RunningBroker, status

from pubsub_common.client import session
from pubsub_common.testing import wait_for
from pubsub_subscriber import Subscriber

RunBroker = Callable[..., RunningBroker]
NewSubscriber = Callable[..., Subscriber]


def test_a_client_that_asks_too_early_is_registered_in_the_end(
    run_broker: RunBroker,
    new_subscriber: NewSubscriber,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(session, "REGISTER_LATER_S", 0.05)
    broker = run_broker(max_registrations_per_second=1)
    # 10 at once, and each waits until it is registered.
    for _ in range(12):
        new_subscriber(broker.port)

    assert len(status(broker.port).clients) == 12
    assert "too many requests from this address; try again later; trying again" in (
        caplog.text
    )


def test_all_come_back_when_a_broker_with_limits_was_restarted(
    run_broker: RunBroker,
    new_subscriber: NewSubscriber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "REGISTER_LATER_S", 0.05)
    port = free_port()
    first = run_broker(port=port)
    for _ in range(25):
        new_subscriber(port)
    first.stop()

    # Of 25, 20 at once.
    second = run_broker(port=port, max_registrations_per_second=2)
    wait_for(lambda: len(status(second.port).clients) == 25, "their return", WAIT_S)

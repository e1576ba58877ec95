"""The broker detects a lost connection immediately, and gives the session to its owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq
from support.attack_tools import Talker, register
from support.running_roles import RunningBroker

from pubsub_common.protocol import messages
from pubsub_common.testing import wait_for

HERE, ELSEWHERE = "127.0.0.1:1", "127.0.0.1:2"


@pytest.fixture
def broker() -> Iterator[RunningBroker]:
    broker = RunningBroker("decentralized", lease_s=300.0)
    yield broker
    broker.stop()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


def talker(context: zmq.Context[zmq.Socket[bytes]], broker: RunningBroker) -> Talker:
    talker = Talker(context, zmq.DEALER, None, None)
    talker.connect(broker.port)
    return talker


def test_a_session_is_in_use_until_the_connection_of_its_client_is_lost(
    broker: RunningBroker, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    first, second = talker(context, broker), talker(context, broker)
    session = first.registered(register("publisher", ["A"], HERE)).session
    moved = register("publisher", ["A"], ELSEWHERE, session=session, id=2)

    assert second.refused(moved) == messages.SESSION_IN_USE
    listening = register("subscriber", ["A"], "127.0.0.1", session=session, id=3)
    assert second.refused(listening) == messages.SESSION_IN_USE

    first.close()

    def accepted() -> bool:
        reply = second.ask(moved)
        assert isinstance(reply, messages.Registered | messages.Error)
        return isinstance(reply, messages.Registered)

    wait_for(accepted, "the session is free")
    second.close()


def test_a_client_that_comes_back_takes_its_session_from_its_old_connection(
    broker: RunningBroker, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    first, second = talker(context, broker), talker(context, broker)
    session = first.registered(register("publisher", ["A"], HERE)).session

    for number, address in ((2, HERE), (3, ELSEWHERE)):
        again = register("publisher", ["A"], address, session=session, id=number)
        assert second.registered(again).session == session
    for each in (first, second):
        each.close()

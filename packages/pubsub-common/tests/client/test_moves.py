"""A client's control thread with several brokers, each of which does what the test says."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.ports import free_port
from support.threads import ended, in_thread

from pubsub_common.client import broker_choice, control_loop, goodbye, session
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.control_client import ControlClient
from pubsub_common.client.identity import Identity
from pubsub_common.client.session_updates import Accepted, SessionUpdate
from pubsub_common.errors import (
    BrokerUnreachable,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.net import addresses
from pubsub_common.protocol.messages import (
    TOO_FAST,
    TOO_MANY,
    ClockRequest,
    Disconnect,
    Error,
    Farewell,
    Heartbeat,
    Hello,
    Register,
)
from pubsub_common.testing import wait_for

WAIT_S = 60.0
IDENTITY = Identity("publisher", ("A",), "127.0.0.1:5556", "monotonic")

Connect = Callable[..., ControlClient]


@pytest.fixture
def run() -> Iterator[Callable[..., FakeBroker]]:
    """Runs brokers, each of which knows of itself only what the test tells it."""
    with contextlib.ExitStack() as stack:
        epochs = iter(range(1, 100))

        def start(port: int = 0, **attributes: Any) -> FakeBroker:
            broker = FakeBroker(port)
            broker.epoch = next(epochs)
            for name, value in attributes.items():
                setattr(broker, name, value)
            return stack.enter_context(broker)

        yield start


@pytest.fixture
def updates() -> list[SessionUpdate]:
    return []


@pytest.fixture
def connect(
    context: zmq.Context[zmq.Socket[bytes]],
    monkeypatch: pytest.MonkeyPatch,
    updates: list[SessionUpdate],
) -> Iterator[Connect]:
    """Makes clients of these brokers, which are closed at the end."""
    monkeypatch.setattr(goodbye, "DISCONNECT_REPLY_S", 0.05)
    clients: list[ControlClient] = []

    def make(
        *brokers: FakeBroker | str, identity: Identity = IDENTITY
    ) -> ControlClient:
        names = [each if isinstance(each, str) else each.place for each in brokers]
        client = ControlClient(
            context, BrokerPlaces.of(*names), identity, updates.append
        )
        clients.append(client)
        client.start()
        return client

    yield make
    for client in clients:
        client.close({})


Run = Callable[..., FakeBroker]


def registered(broker: FakeBroker, count: int = 1) -> list[Register]:
    """What a client has registered with, once it has."""
    wait_for(lambda: len(broker.of(Register)) >= count, "a registration", WAIT_S)
    return broker.of(Register)


def test_a_client_of_one_broker_asks_nothing(run: Run, connect: Connect) -> None:
    broker = run()
    connect(broker).wait_registered(WAIT_S)
    assert not broker.of(Hello)


def test_a_client_registers_with_the_emptier_broker_alone(
    run: Run, connect: Connect
) -> None:
    full, empty = run(clients=100), run(clients=3)
    connect(full, empty).wait_registered(WAIT_S)

    assert len(full.of(Hello)) == 1
    assert not full.of(Register)
    assert len(empty.of(Register)) == 1


@pytest.mark.parametrize("farewell", [True, False], ids=["farewell", "broken"])
def test_a_client_moves_with_its_session_and_tells_all_its_numbers(
    run: Run, connect: Connect, farewell: bool
) -> None:
    port = free_port()
    second = run(clients=9, session=8)
    with FakeBroker(port) as first:
        client = connect(first, second)
        client.wait_registered(WAIT_S)
        if farewell:
            first.send(Farewell())
            registered(second)

    [request] = registered(second)
    assert request.session == first.session
    assert not first.of(Disconnect)
    assert not client.error


def test_one_line_tells_where_a_client_has_moved(
    run: Run, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = run(), run(clients=9)
    with caplog.at_level(logging.INFO, "pubsub_common"):
        connect(first, second).wait_registered(WAIT_S)
        first.send(Farewell())
        registered(second)
        wait_for(lambda: caplog.messages, "a line")
    assert caplog.messages == [
        f"the broker at tcp://{first.place} is shutting down; moved to the one at "
        f"tcp://{second.place}"
    ]


def test_a_silent_broker_is_left_for_one_that_answers(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BROKER_SILENCE_S", 0.2)
    first, second = run(lease_s=60.0), run(clients=9)
    client = connect(first, second)
    client.wait_registered(WAIT_S)
    first.silent = True
    client.renew()

    assert registered(second)[0].session == first.session
    assert len(first.of(Register)) == 1


def test_a_silent_broker_is_kept_where_no_other_answers(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BROKER_SILENCE_S", 0.05)
    monkeypatch.setattr(broker_choice, "BROKER_ANSWER_S", 0.05)
    monkeypatch.setattr(broker_choice, "BROKER_ANSWER_MAX_S", 0.05)
    first, second = run(lease_s=0.3), run(clients=9, silent=True)
    first.lease_s = 1.5
    client = connect(first, second)
    client.wait_registered(WAIT_S)
    first.silent = True
    wait_for(lambda: len(second.of(Hello)) > 2, "questions to the other one")
    first.silent = False
    beats = len(first.of(Heartbeat))
    wait_for(
        lambda: len(first.of(Heartbeat)) > beats or len(first.of(Register)) > 1,
        "the broker that is back",
    )

    assert not client.error
    assert not second.of(Register)


def test_a_registration_without_an_answer_is_made_elsewhere(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BROKER_SILENCE_S", 0.2)
    first, second = run(ignored=(Register,)), run(clients=100)
    client = connect(first, second)

    client.wait_registered(WAIT_S)

    assert len(first.of(Register)) == 1
    assert len(second.of(Register)) == 1


def test_a_broker_that_is_cut_off_is_left_for_one_that_is_not(
    run: Run, connect: Connect
) -> None:
    first, second = run(lease_s=0.6), run(clients=9)
    connect(first, second).wait_registered(WAIT_S)
    first.cut_off = True

    assert registered(second)[0].session == first.session


def test_a_broker_that_is_cut_off_is_kept_where_all_are(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_choice, "BROKER_ANSWER_MAX_S", 0.05)
    first, second = run(lease_s=0.3), run(clients=9)
    connect(first, second).wait_registered(WAIT_S)
    first.cut_off = second.cut_off = True
    asked = len(second.of(Hello))
    wait_for(lambda: len(second.of(Hello)) > asked + 2, "questions to the other one")

    assert not second.of(Register)
    assert len(first.of(Register)) == 1


def test_a_client_registers_though_all_brokers_are_cut_off(
    run: Run, connect: Connect
) -> None:
    brokers = run(cut_off=True), run(cut_off=True)
    connect(*brokers).wait_registered(WAIT_S)


def test_a_client_knows_the_brokers_that_its_own_one_tells(
    run: Run, connect: Connect
) -> None:
    first, second = run(), run(clients=9)
    first.brokers = [first.place, second.place]
    connect(first).wait_registered(WAIT_S)
    first.send(Farewell())

    assert registered(second)[0].session == first.session


def test_what_is_no_address_in_a_list_of_brokers_does_no_harm(
    run: Run, connect: Connect
) -> None:
    first, second = run(), run(clients=9)
    garbage = ["", "x", ":1", "a:0", "10.0.0.1:99999", "a b:1", "0.0.0.0:1", "[::1]"]
    first.brokers = [*garbage, second.place]
    connect(first).wait_registered(WAIT_S)
    first.send(Farewell())

    assert registered(second)[0].session == first.session


def test_a_list_of_brokers_that_changes_is_one_of_the_pushes(
    run: Run, connect: Connect
) -> None:
    first, second = run(), run(clients=9)
    connect(first).wait_registered(WAIT_S)
    first.tell_brokers([first.place, second.place])
    first.tell()  # a push more: the client has counted the one before
    first.send(Farewell())

    assert registered(second)[0].session == first.session
    assert len(first.of(Register)) == 1


def test_a_broker_that_the_newest_list_does_not_have_is_not_asked(
    run: Run, connect: Connect
) -> None:
    first, second, third = run(), run(clients=9), run(clients=0)
    first.brokers = [first.place, third.place]
    connect(first).wait_registered(WAIT_S)
    first.tell_brokers([first.place, second.place])
    first.send(Farewell())

    registered(second)
    assert not third.requests


def test_a_broker_that_is_full_is_left_for_another_one(
    run: Run, connect: Connect
) -> None:
    first, second = run(refusal=(TOO_MANY, "full")), run(clients=9)
    connect(first, second).wait_registered(WAIT_S)

    assert len(first.of(Register)) == 1
    assert len(second.of(Register)) == 1


def test_a_client_is_refused_when_all_brokers_are_full(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = [run(refusal=(TOO_MANY, "full")) for _ in range(3)]
    client = connect(*brokers)
    with pytest.raises(RegistrationRefused, match="full"):
        client.wait_registered(WAIT_S)


def test_a_broker_that_has_no_time_is_asked_again(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "REGISTER_LATER_S", 0.05)
    first, second = run(refusal=(TOO_FAST, "later")), run(clients=9)
    client = connect(first, second)
    registered(first, 2)
    first.refusal = None

    client.wait_registered(WAIT_S)

    assert not second.of(Register)


def test_what_is_changed_meanwhile_is_told_to_the_next_broker(
    run: Run, connect: Connect
) -> None:
    port = free_port()
    with FakeBroker() as first:
        client = connect(first, f"127.0.0.1:{port}")
        client.wait_registered(WAIT_S)
    more = Identity("publisher", ("A", "B"), "127.0.0.1:5556", "monotonic")
    number = client.submit(more)
    with pytest.raises(
        BrokerUnreachable, match=f"{first.port}, tcp://127.0.0.1:{port}"
    ):
        client.wait_told(number, 0.01)

    second = run(port)
    client.wait_told(number, WAIT_S)

    assert registered(second)[0].topics == ["A", "B"]


def test_the_clock_is_that_of_the_broker_where_the_client_is(
    run: Run, connect: Connect
) -> None:
    """One on loopback has our own clock; of the other one nothing is known yet."""
    first, second = run(), run(clients=9)
    identity = Identity("publisher", ("A",), "127.0.0.1:5556", "realtime")
    client = connect(first, second, identity=identity)
    client.wait_registered(WAIT_S)
    offset = client.clock_offset()
    assert offset is not None
    assert (offset.offset_ns, offset.bound_ns) == (0, 0)
    assert not first.of(ClockRequest)


def test_a_client_that_leaves_between_two_brokers_tells_the_next_one(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_loop, "DISCONNECT_REPLY_S", WAIT_S)
    monkeypatch.setattr(goodbye, "DISCONNECT_REPLY_S", WAIT_S)
    port = free_port()
    with FakeBroker() as first:
        client = connect(first, f"127.0.0.1:{port}")
        client.wait_registered(WAIT_S)
    closing = in_thread(lambda: client.close({"A": 7}))
    second = run(port)

    assert ended(closing)
    assert registered(second)[0].session == first.session
    [goodbyes] = second.of(Disconnect)
    assert (goodbyes.session, goodbyes.next_sequences) == (first.session, {"A": 7})


def test_a_client_that_leaves_where_no_broker_is_does_not_wait_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_loop, "DISCONNECT_REPLY_S", 0.05)
    with FakeBroker() as first:
        client = connect(first, f"127.0.0.1:{free_port()}")
        client.wait_registered(WAIT_S)
    assert client.close({})


def test_a_client_may_be_closed_before_any_broker_was_found(connect: Connect) -> None:
    client = connect(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
    assert client.close({})
    with pytest.raises(PubSubError):
        client.wait_registered(WAIT_S)


def test_a_refusal_is_final(run: Run, connect: Connect) -> None:
    first, second = run(refusal=("bad_address", "not yours")), run(clients=9)
    client = connect(first, second)
    with pytest.raises(RegistrationRefused, match="not yours"):
        client.wait_registered(WAIT_S)
    assert not second.of(Register)


def test_a_name_that_is_looked_up_for_long_holds_nobody_up(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()
    before = addresses.resolve_all

    def resolve_all(host: str) -> list[str]:
        if host == "slow.example":
            may_end.wait(WAIT_S)
            return ["127.0.0.1"]
        return before(host)

    monkeypatch.setattr(addresses, "resolve_all", resolve_all)
    second = run(clients=9)
    try:
        connect("slow.example:5555", second).wait_registered(WAIT_S)
    finally:
        may_end.set()
    assert len(second.of(Register)) == 1


def test_a_broker_with_a_name_is_moved_to(
    run: Run, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "resolve_all", lambda _: ["127.0.0.1"])
    first, second = run(), run(clients=9)
    connect(first, f"two.example:{second.port}").wait_registered(WAIT_S)
    first.send(Farewell())

    assert registered(second)[0].session == first.session


def test_an_error_that_nobody_asked_for_does_not_move_a_client(
    run: Run, connect: Connect
) -> None:
    first, second = run(), run(clients=9)
    client = connect(first, second)
    client.wait_registered(WAIT_S)
    first.send(Error(id=-1, code="surprise", detail="of a later version"))
    client.renew()
    wait_for(lambda: first.of(Heartbeat), "a heartbeat")
    assert not second.of(Register)


def test_a_client_is_told_at_each_broker_that_it_is_registered(
    run: Run, connect: Connect, updates: list[SessionUpdate]
) -> None:
    first, second = run(), run(clients=9)
    connect(first, second).wait_registered(WAIT_S)
    first.send(Farewell())

    def accepted() -> list[Accepted]:
        return [each for each in updates if isinstance(each, Accepted)]

    wait_for(lambda: len(accepted()) == 2, "the other registration")
    assert [each.again for each in accepted()] == [False, True]
    assert [each.reply.epoch for each in accepted()] == [first.epoch, second.epoch]

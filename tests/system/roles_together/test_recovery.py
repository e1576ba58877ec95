"""Brokers restart, clients die: the others continue."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

import pytest
from support.broker_parts import parts_of
from support.ports import free_port
from support.running_roles import (
    WAIT_S,
    Gaps,
    Program,
    Receiver,
    RunningBroker,
    registered,
)

from pubsub_common.protocol.messages import Model, Role
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

RunBroker = Callable[..., RunningBroker]
NewPublisher = Callable[..., Publisher]
NewSubscriber = Callable[..., Subscriber]
Receive = Callable[[Subscriber], Receiver]
Run = Callable[..., Program]

# Short, so that a death is detected soon; a client that a busy machine delays for
# longer registers again, which no test here minds.
LEASE_S = 1.0


def wait_for_both(port: int) -> None:
    """Return when the broker knows a publisher and a subscriber."""
    roles: tuple[Role, ...] = ("publisher", "subscriber")
    for role in roles:
        wait_for(partial(registered, port, role), f"the {role}'s registration")


@pytest.mark.parametrize("times", [1, 3])
def test_after_a_restart_clients_register_again_and_events_flow_without_a_gap(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
    model: Model,
    times: int,
) -> None:
    gaps = Gaps()
    broker = run_broker()
    subscriber = new_subscriber(broker.port, "A", on_gap=gaps.append)
    publisher = new_publisher(broker.port, "A", max_event_count=100)
    publisher.wait_for_subscribers(1, WAIT_S)
    sessions = (publisher.session, subscriber.session)
    receiver = receive(subscriber)
    publisher.publish()
    receiver.wait_for_events(100)

    for round_ in range(1, times + 1):
        broker.stop()
        if model == "centralized":
            wait_for(lambda: publisher.subscriber_count == 0, "the broken connection")
        broker = run_broker(port=broker.port)
        wait_for_both(broker.port)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish()
        receiver.wait_for_events(100 * (round_ + 1))

    receiver.check_order()
    assert not gaps
    assert (publisher.session, subscriber.session) == sessions
    assert {event.session for event in receiver.events} == {publisher.session}


def test_a_killed_broker_is_found_again(
    run: Run,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
    model: Model,
) -> None:
    port = free_port()
    argv = ["--port", port, "--lease", LEASE_S, "--bind", "127.0.0.1"]
    argv += ["-c"] if model == "centralized" else []
    broker = run("pubsub-broker", *argv)
    subscriber = new_subscriber(port, "A")
    publisher = new_publisher(port, "A", max_event_count=100)
    publisher.wait_for_subscribers(1, WAIT_S)
    receiver = receive(subscriber)
    publisher.publish()
    receiver.wait_for_events(100)

    broker.kill()
    if model == "centralized":
        wait_for(lambda: publisher.subscriber_count == 0, "the broken connection")
    run("pubsub-broker", *argv)
    wait_for_both(port)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish()

    receiver.wait_for_events(200)
    receiver.check_order()


@pytest.mark.parametrize("model", ["decentralized"], indirect=True)
def test_decentralized_events_flow_while_there_is_no_broker(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    broker = run_broker()
    receiver = receive(new_subscriber(broker.port, "A"))
    publisher = new_publisher(broker.port, "A", max_event_count=100)
    publisher.wait_for_subscribers(1, WAIT_S)

    broker.stop()
    publisher.publish()

    receiver.wait_for_events(100)
    receiver.check_order()


@pytest.mark.parametrize("model", ["centralized"], indirect=True)
def test_centralized_what_is_published_while_there_is_no_broker_is_a_named_loss(
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    gaps = Gaps()
    broker = run_broker()
    subscriber = new_subscriber(broker.port, "A", on_gap=gaps.append)
    publisher = new_publisher(broker.port, "A")
    publisher.wait_for_subscribers(1, WAIT_S)
    receiver = receive(subscriber)
    publisher.publish_event("A", b"before")
    receiver.wait_for_events(1)

    broker.stop()
    wait_for(lambda: publisher.subscriber_count == 0, "the broken connection")
    for _ in range(5):
        publisher.publish_event("A", b"lost")
    broker = run_broker(port=broker.port)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"after")
    receiver.wait_for_events(2)

    assert receiver.payloads == [b"before", b"after"]
    assert [(gap.first, gap.last) for gap in gaps] == [(1, 5)]
    assert subscriber.counts().lost == 5


@pytest.mark.parametrize("model", ["centralized"], indirect=True)
def test_after_a_restart_a_subscriber_is_not_ready_before_the_new_connection_is_open(
    run_broker: RunBroker, new_publisher: NewPublisher, new_subscriber: NewSubscriber
) -> None:
    broker = run_broker()
    publisher = new_publisher(broker.port, "A")
    subscriber = new_subscriber(broker.port, "A")
    subscriber.wait_until_ready(WAIT_S)
    for _ in range(5):
        broker.stop()
        broker = run_broker(port=broker.port)
        wait_for_both(broker.port)
        wait_for(partial(has_heard_of, subscriber, broker), "the broker's word")
        subscriber.wait_until_ready(WAIT_S)

        publisher.publish_event("A", b"")

        assert subscriber.receive(WAIT_S) is not None
    assert subscriber.counts().lost == 0


def has_heard_of(subscriber: Subscriber, broker: RunningBroker) -> bool:
    """Whether the subscriber knows a publisher from this broker."""
    streams = subscriber._runtime.core.streams
    return subscriber._runtime.core.sources.epoch == parts_of(
        broker.broker
    ).core.epoch and bool(
        streams._publishers.keys() - streams.departures._departing.keys()
    )


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_a_killed_client_is_forgotten_after_its_lease_and_the_others_stay(
    run: Run,
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    model: Model,
    role: str,
) -> None:
    port = run_broker(lease_s=LEASE_S).port
    publisher = new_publisher(port, "B")
    subscriber = new_subscriber(port, "B")
    options = ["-t", "A", "-b", "127.0.0.1", "--broker-port", port, "-i"]
    if role == "publisher":
        options += ["--bind-port", 0]
    elif model == "centralized":
        options += ["-c"]
    program = run(f"pubsub-{role}", *options)

    def sessions() -> set[int]:
        return {
            client.session
            for kind in ("publisher", "subscriber")
            for client in registered(port, kind)
        }

    ours = {publisher.session, subscriber.session}
    wait_for(lambda: len(sessions() - ours) == 1, "its registration")

    program.kill()

    wait_for(lambda: not sessions() - ours, "the end of its lease")
    wait_for(lambda: sessions() == ours, "ours")
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("B", b"alive")
    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert event.payload == b"alive"


def test_a_publisher_takes_over_the_port_of_one_that_was_killed(
    run: Run,
    run_broker: RunBroker,
    new_publisher: NewPublisher,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker().port
    subscriber = new_subscriber(port, "A")
    receiver = receive(subscriber)
    bind_port = free_port()
    killed = run(
        "pubsub-publisher",
        *("-t", "A", "-b", "127.0.0.1", "--broker-port", port),
        *("--bind-port", bind_port, "-i", "-s", "0.01"),
    )
    receiver.wait_for_events(1)
    killed.kill()

    successor = new_publisher(port, "A", bind_port=bind_port)
    successor.wait_for_subscribers(1, WAIT_S)
    successor.publish_event("A", b"here I am")

    wait_for(lambda: b"here I am" in receiver.payloads, "the event of the successor")
    assert successor.bind_port == bind_port
    assert len(registered(port, "publisher")) == 1
    receiver.check_order()


def test_a_client_that_was_stopped_for_longer_than_its_lease_goes_on(
    run: Run,
    run_broker: RunBroker,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker(lease_s=LEASE_S).port
    receiver = receive(new_subscriber(port, "A"))
    program = run(
        "pubsub-publisher",
        *("-t", "A", "-b", "127.0.0.1", "--broker-port", port),
        *("--bind-port", 0, "-i", "-s", "0.01", "--wait-for", "1"),
    )
    receiver.wait_for_events(5)
    (before,) = registered(port, "publisher")

    program.send(signal.SIGSTOP)
    wait_for(lambda: not registered(port, "publisher"), "the end of its lease")
    program.send(signal.SIGCONT)

    wait_for(lambda: registered(port, "publisher"), "its return")
    assert registered(port, "publisher")[0].session == before.session
    receiver.wait_for_events(len(receiver.events) + 5)
    receiver.check_order()


def test_when_the_owner_of_a_topic_is_killed_the_next_one_takes_over(
    run: Run,
    run_broker: RunBroker,
    new_subscriber: NewSubscriber,
    receive: Receive,
) -> None:
    port = run_broker(lease_s=LEASE_S).port
    receiver = receive(new_subscriber(port, "A"))

    def publish(strength: int) -> Program:
        return run(
            "pubsub-publisher",
            *("-t", "A", "-b", "127.0.0.1", "--broker-port", port),
            *("--bind-port", 0, "-i", "-s", "0.01", "--strength", strength),
        )

    strong = publish(2)
    receiver.wait_for_events(5)
    (owner,) = registered(port, "publisher")
    publish(1)
    wait_for(
        lambda: len(registered(port, "publisher")) == 2, "the other's registration"
    )
    receiver.wait_for_events(len(receiver.events) + 50)
    assert {event.session for event in receiver.events} == {owner.session}

    strong.kill()
    wait_for(lambda: receiver.events[-1].session != owner.session, "the next owner")
    receiver.wait_for_events(len(receiver.events) + 50)

    sessions = [event.session for event in receiver.events]
    assert sessions[-50:] == sessions[-1:] * 50
    receiver.check_order()

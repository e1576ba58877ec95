"""A subscriber that has two connections to the same place.

TCP may take minutes to close a connection with a dead peer. Meanwhile the subscriber
has reconnected. ZeroMQ reports a subscription to a publisher, or a broker's port, only
if no other connection has it, so a request over the new connection only passes if it
differs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import pytest
import zmq
from support.running_roles import WAIT_S, Receiver, RunningBroker, Security

from pubsub_common.protocol.events import ATTEMPTS, decode_ready_reply
from pubsub_common.protocol.messages import Model
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.keys import configure_curve_client, load_client_keys
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber
from pubsub_subscriber.connections.sub_socket import SubSocket

# Enough that each of three forwarders has some.
TOPICS = tuple(f"t{number}" for number in range(24))


@dataclasses.dataclass
class Twin:
    """A second connection of a subscriber, for each that it has."""

    sockets: list[SubSocket]
    answered: set[str] = dataclasses.field(default_factory=set)

    def has_all_answers(self) -> bool:
        for socket in self.sockets:
            with socket.lock, contextlib.suppress(zmq.Again):
                while True:
                    answer = decode_ready_reply(socket.socket.recv(zmq.NOBLOCK))
                    if answer is not None:
                        self.answered.add(answer[0])
        return self.answered == set(TOPICS)

    def ask_again(self) -> None:
        self.answered.clear()
        for socket in self.sockets:
            socket.repeat_ready_requests(socket.topics)

    def close(self) -> None:
        for socket in self.sockets:
            socket.close(0)


@pytest.fixture
def new_twin(
    stack: contextlib.ExitStack, security: Security | None, model: Model
) -> Iterator[Callable[[Subscriber, Publisher], Twin]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def make(subscriber: Subscriber, publisher: Publisher) -> Twin:
        sockets = []
        for first in subscriber._runtime.performer.sockets.open:
            [address] = first._connected
            twin = SubSocket(
                context,
                first.topics,
                subscriber.session,
                QueueBounds(1000),
                total_topics=first.subscriptions.total_topics,
            )
            sockets.append(twin)
            if security is not None:
                assert security.subscriber is not None
                assert security.publisher is not None
                keys = load_client_keys(security.subscriber)
                server = (
                    keys.broker
                    if model == "centralized"
                    else load_client_keys(security.publisher).pair.public
                )
                configure_curve_client(twin.socket, keys.pair, server)
            twin.connect(address)
        found = Twin(sockets)
        stack.callback(found.close)
        return found

    yield make
    stack.close()
    context.term()


@pytest.mark.parametrize("forwarders", [1, 3])
def test_the_second_connection_gets_its_answers_and_the_end_of_the_first_changes_nothing(
    forwarders: int,
    model: Model,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    receive: Callable[[Subscriber], Receiver],
    new_twin: Callable[[Subscriber, Publisher], Twin],
) -> None:
    if forwarders > 1 and model == "decentralized":
        pytest.skip("it has no forwarders")
    options = {} if model == "decentralized" else {"forwarders": forwarders}
    port = run_broker(**options).port
    publisher = new_publisher(port, *TOPICS)
    subscriber = new_subscriber(port, *TOPICS)
    subscriber.wait_until_ready(WAIT_S)
    publisher.wait_for_subscribers(1, WAIT_S)
    receive(subscriber)
    ready = publisher._runtime.core.ready

    def attempts() -> set[tuple[int, ...]]:
        known = ready._subscribers.get(subscriber.session)
        if known is None:
            return set()
        # A request has a number of topics and an attempt.
        seen = known.seen.values()
        return {tuple(question % ATTEMPTS for question in each) for each in seen}

    twin = new_twin(subscriber, publisher)
    assert len(twin.sockets) == forwarders
    twin.ask_again()
    wait_for(twin.has_all_answers, "answers by the second connection", WAIT_S)
    wait_for(lambda: attempts() == {(0, 1)}, "both attempts", WAIT_S)

    for first in subscriber._runtime.performer.sockets.open:
        for address in tuple(first._connected):
            first.disconnect(address)
    wait_for(lambda: attempts() == {(1,)}, "the end of the first", WAIT_S)
    assert subscriber.session in ready.sessions
    twin.ask_again()
    wait_for(twin.has_all_answers, "repeated answers", WAIT_S)

    twin.close()
    wait_for(lambda: not attempts(), "the end of the second", WAIT_S)
    assert subscriber.session not in ready.sessions

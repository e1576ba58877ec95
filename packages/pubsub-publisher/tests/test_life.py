"""The one life of a publisher: calls in each state, fork, drop, the end of a program,
callbacks."""

from __future__ import annotations

import functools
import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import zmq
from support.fake_broker import FakeBroker
from support.leftovers import Leftovers
from support.raw_sockets import RawSubscriber
from support.threads import ended, in_thread

from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.protocol.messages import Disconnect, Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]

CALLS: dict[str, Callable[[Publisher], object]] = {
    "configure": Publisher.configure,
    "with": Publisher.__enter__,
    "setup_port_binding": Publisher.setup_port_binding,
    "register_pub": Publisher.register_pub,
    "publish": Publisher.publish,
    "publish_event": lambda publisher: publisher.publish_event("A", b"x"),
    "publish_events": lambda publisher: publisher.publish_events([b"x"]),
    "publish_json": lambda publisher: publisher.publish_json("A", 1),
    "add_topics": lambda publisher: publisher.add_topics(["B"]),
    "remove_topics": lambda publisher: publisher.remove_topics(["A"]),
    "wait": lambda publisher: publisher.wait_for_subscribers(0),
}


def unconfigured(broker: FakeBroker) -> Publisher:
    return Publisher(
        topics=["A", "Z"], broker_port=broker.port, bind_port=0, linger_s=WAIT_S
    )


@pytest.mark.parametrize("call", sorted(CALLS))
def test_after_its_end_every_call_is_one_error(
    new_publisher: NewPublisher, call: str
) -> None:
    publisher = new_publisher("A", "Z")
    publisher.disconnect()

    with pytest.raises(PubSubError, match="was disconnected; make a new one"):
        CALLS[call](publisher)

    publisher.disconnect()
    publisher.stop()
    assert publisher.topics == ("A", "Z")
    assert publisher.subscriber_count == 0


@pytest.mark.parametrize("call", ["setup_port_binding", "register_pub", "configure"])
def test_it_is_configured_once(
    broker: FakeBroker, new_publisher: NewPublisher, call: str
) -> None:
    publisher = new_publisher("A", "Z")
    left = Leftovers()

    with pytest.raises(PubSubError, match="has been configured already"):
        CALLS[call](publisher)

    assert len(broker.of(Register)) == 1
    assert not left.threads()
    publisher.publish_event("A", b"x")


def test_with_after_configure_is_the_same_life(broker: FakeBroker) -> None:
    publisher = unconfigured(broker)
    publisher.configure()

    with publisher:
        publisher.publish_event("A", b"x")

    assert len(broker.of(Register)) == len(broker.farewells()) == 1


@pytest.mark.parametrize(
    "call", sorted(CALLS.keys() - {"configure", "with", "add_topics", "remove_topics"})
)
def test_before_configure_it_says_so(broker: FakeBroker, call: str) -> None:
    with pytest.raises(PubSubError, match="call configure first"):
        CALLS[call](unconfigured(broker))


def test_to_disconnect_what_was_never_configured_changes_nothing(
    broker: FakeBroker,
) -> None:
    publisher = unconfigured(broker)
    publisher.disconnect()

    with publisher:
        publisher.publish_event("A", b"x")


def test_what_it_says_of_itself(broker: FakeBroker) -> None:
    publisher = unconfigured(broker)
    where = f"<Publisher topics=A, Z broker=127.0.0.1:{broker.port} state="

    assert repr(publisher) == where + "made>"
    with publisher:
        assert repr(publisher) == where + "configured>"
    assert repr(publisher) == where + "closed>"


@pytest.mark.parametrize("call", [*sorted(CALLS), "disconnect"])
def test_in_a_forked_child_every_call_is_one_error(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe, call: str
) -> None:
    publisher = new_publisher("A", "Z")
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"before")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            (Publisher.disconnect if call == "disconnect" else CALLS[call])(publisher)
            os.write(writing, b"returned")
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 1000).decode()
    os.close(reading)
    os.waitpid(child, 0)

    if call == "disconnect":
        assert said == "returned"
    else:
        assert said.startswith(
            "PubSubError('this publisher was made in another process"
        )
    publisher.publish_event("A", b"after")
    assert [event.payload for event in subscriber.events(2)] == [b"before", b"after"]
    assert not broker.of(Disconnect)


def test_a_publisher_that_could_not_be_made_does_not_disturb_a_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: complaints.append(error))
    # The error keeps the parts of the publisher.
    with pytest.raises(ConfigError, match="cannot read keys"):
        Publisher(keys="missing.keys")

    child = os.fork()
    if child == 0:
        os._exit(len(complaints))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_dropped_it_is_closed_and_there_is_a_warning(
    broker: FakeBroker, subscribe: Subscribe
) -> None:
    subscribers: list[RawSubscriber] = []
    left = Leftovers()

    def publish_and_drop() -> None:
        publisher = unconfigured(broker)
        publisher.configure()
        subscribers.append(subscribe(publisher, "A", session=5))
        publisher.wait_for_subscribers(1, WAIT_S)
        for number in range(300):  # some are gathered, and not sent yet
            publisher.publish_event("A", b"%d" % number)
        del publisher
        gc.collect()

    with pytest.warns(ResourceWarning, match="a publisher was not disconnected"):
        publish_and_drop()

    (subscriber,) = subscribers
    assert len(subscriber.events(300)) == 300
    wait_for(lambda: broker.of(Disconnect), "the farewell")
    wait_for(lambda: not left.threads(), "the end of its threads")


PROGRAM = """
import signal, sys
from pubsub_publisher import Publisher
publisher = Publisher(topics=["A"], broker_port=int(sys.argv[1]), bind_port=0)
publisher.configure()
print(publisher.address, flush=True)
publisher.wait_for_subscribers(1, 30)
for number in range(3000):
    publisher.publish_event("A", b"%d" % number)
"""


def test_a_program_that_ends_without_it_sends_what_was_accepted(
    broker: FakeBroker, subscribe: Subscribe
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PROGRAM, str(broker.port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscriber = RawSubscriber(context, address, "A", session=5, queue_limit=10_000)

    events = subscriber.events(3000)

    assert [event.payload for event in events] == [b"%d" % n for n in range(3000)]
    _, said = program.communicate()
    assert "ResourceWarning: a publisher was not disconnected" in said
    assert program.returncode == 0
    assert len(broker.farewells()) == 1
    subscriber.close()
    context.term()


# Callbacks and logging handlers


@pytest.mark.parametrize(
    "action", ["stop", "disconnect", "publish_event", "add_topics"]
)
def test_on_sent_may_call_it(broker: FakeBroker, action: str) -> None:
    def listen(*_: object) -> None:
        if action == "publish_event":
            publisher.publish_event("Z", b"x")
        elif action == "add_topics":
            publisher.add_topics(["C"])
        else:
            getattr(publisher, action)()

    publisher = Publisher(
        topics=["A", "Z"],
        broker_port=broker.port,
        bind_port=0,
        max_event_count=3,
        sleep_period=0,
        on_sent=listen,
    )
    with publisher:
        published = publisher.publish()

    assert published == (1 if action in ("stop", "disconnect") else 3)
    assert len(broker.farewells()) == 1


def test_what_on_sent_raises_comes_out(broker: FakeBroker) -> None:
    def listen(*_: object) -> None:
        raise ValueError("mine")

    with Publisher(
        topics=["A"], broker_port=broker.port, bind_port=0, on_sent=listen
    ) as publisher:
        with pytest.raises(ValueError, match="mine"):
            publisher.publish()
        publisher.publish_event("A", b"x")


@pytest.mark.parametrize("action", ["publish_event", "disconnect"])
def test_a_logging_handler_may_call_it_in_the_control_thread(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe, action: str
) -> None:
    publisher = new_publisher("A")
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    logged: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not logged:
                logged.append(record.getMessage())
                if action == "disconnect":
                    publisher.disconnect()
                else:
                    publisher.publish_event("A", record.getMessage())

    handler = Handler()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stranger = context.socket(zmq.XSUB)
    logging.getLogger("pubsub_publisher").addHandler(handler)
    try:
        stranger.connect(f"tcp://{publisher.address}")
        stranger.send(b"\x02what is this")
        wait_for(lambda: logged, "the line")
        if action == "disconnect":
            wait_for(lambda: broker.of(Disconnect), "the farewell")
            assert ended(in_thread(publisher.disconnect))
        else:
            assert subscriber.next_event().payload == logged[0].encode()
            publisher.publish_event("A", b"x")
    finally:
        logging.getLogger("pubsub_publisher").removeHandler(handler)
        stranger.close(linger=0)
        context.term()


def test_disconnecting_while_others_publish_loses_nothing_that_was_accepted(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", linger_s=WAIT_S, queue_limit=10_000_000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=10_000_000)
    publisher.wait_for_subscribers(1, WAIT_S)
    accepted: list[bytes] = []
    refused: list[PubSubError] = []

    def publish(name: int) -> None:
        number = 0
        try:
            while True:
                number += 1
                publisher.publish_event("A", b"%d %d" % (name, number))
                accepted.append(b"%d %d" % (name, number))
        except PubSubError as error:
            refused.append(error)

    threads = [in_thread(functools.partial(publish, name)) for name in range(3)]
    wait_for(lambda: len(accepted) > 5000, "some events")
    publisher.disconnect()

    assert all(ended(thread) for thread in threads)
    assert len(refused) == 3
    found = {event.payload for event in subscriber.events(len(accepted))}
    assert found == set(accepted)

"""The publisher, against a broker and subscribers made of bare sockets."""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_broker import FakeBroker
from support.ports import unused_port
from support.raw_sockets import RawSubscriber
from support.threads import ended, in_thread

from pubsub_common.errors import (
    BrokerUnreachable,
    CannotListen,
    ConfigError,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.net import addresses
from pubsub_common.protocol.events import decode_event, ready_topic
from pubsub_common.protocol.messages import (
    Heartbeat,
    Register,
)
from pubsub_common.protocol.recovery_messages import decode_position, position_prefix
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.shared_memory.place import place_for
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher
from pubsub_publisher.core import EndConnection, Send

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]


# Arguments


def test_the_defaults_are_those_of_the_driver() -> None:
    publisher = Publisher("127.0.0.1", ["A"])

    assert publisher.indefinite is False
    assert publisher.max_event_count == 15
    assert publisher.sleep_period == 1
    assert publisher.bind_port == 5556


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 10_000),
        ({"overflow": "block"}, 1000),
        ({"overflow": "block", "queue_limit": 10_000}, 10_000),
        ({"queue_limit": 5}, 5),
    ],
)
def test_under_block_the_default_queue_limit_is_smaller(
    options: dict[str, Any], limit: int
) -> None:
    assert Publisher(topics=["A"], **options)._runtime.config.bounds.messages == limit


@pytest.mark.parametrize("field", ["sleep_period", "max_event_count"])
def test_a_pace_that_a_program_sets_is_checked_by_publish(
    new_publisher: NewPublisher, field: str
) -> None:
    publisher = new_publisher("A")
    setattr(publisher, field, float("nan"))
    with pytest.raises(ConfigError, match=field):
        publisher.publish()


def test_the_environment_is_for_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_KEYS", "no such file")
    monkeypatch.setenv("PUBSUB_BROKER", "127.0.0.9:7777")

    publisher = Publisher(topics=["A"])

    assert publisher.broker_address == "127.0.0.1"
    config = publisher._runtime.config
    assert config.brokers() == (("127.0.0.1", 5555),)
    assert config.keys is None


def test_arguments_may_be_given_in_the_documented_order() -> None:
    publisher = Publisher("127.0.0.2", ["A", "B"], True, 3, 0.5, 6000)

    assert publisher.broker_address == "127.0.0.2"
    assert publisher.topics == ("A", "B")
    assert publisher.indefinite is True
    assert publisher.max_event_count == 3
    assert publisher.sleep_period == 0.5
    assert publisher.bind_port == 6000


def test_a_topic_that_is_given_twice_is_published_once() -> None:
    assert Publisher(topics=["B", "A", "B"]).topics == ("B", "A")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"topics": [], "declared_only": True}, "at least one topic"),
        ({"declared_only": 1}, "declared_only must be True or False"),
        ({"topics": "AB"}, "not a text"),
        ({"topics": [""]}, "empty"),
        ({"topics": ["A\n"]}, "control character"),
        ({"topics": ["x" * 256]}, "256 bytes"),
        ({"broker_address": "bro/ker"}, "'bro/ker' is not an IP address"),
        ({"broker_address": "broker:0"}, "'broker:0' is not HOST or HOST:PORT"),
        ({"broker_address": "b:5556", "broker_port": 5555}, "contradict each other"),
        ({"broker_address": "0.0.0.0"}, "not the address of one host"),
        ({"address": "::"}, ":: is not the address of one host"),
        ({"max_event_count": 0}, "max_event_count"),
        ({"sleep_period": -0.1}, "sleep_period"),
        ({"sleep_period": float("nan")}, "sleep_period"),
        ({"sleep_period": float("inf")}, "sleep_period"),
        ({"bind_port": -1}, "bind_port"),
        ({"bind_port": 65536}, "bind_port"),
        ({"broker_port": 0}, "broker_port"),
        ({"broker_port": 65536}, "broker_port"),
        ({"clock": "sundial"}, "clock must be 'realtime' or 'monotonic': 'sundial'"),
        ({"overflow": "wait"}, "overflow must be 'drop' or 'block': 'wait'"),
        ({"queue_limit": 0}, "queue_limit"),
        ({"queue_limit": 2**31}, "queue_limit"),
        ({"payload_bytes": -1}, "payload_bytes"),
        ({"payload_bytes": 2**30 + 1}, "payload_bytes"),
    ],
)
def test_an_argument_that_cannot_work_is_named(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Publisher(**{"topics": ["A"], **options})

    assert reason in str(caught.value)


def test_a_given_address_is_the_host_address() -> None:
    publisher = Publisher("10.0.0.1", ["A"], address="10.0.0.9")

    assert publisher.get_host_address() == "10.0.0.9"


def test_without_one_the_host_address_is_the_one_towards_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str | None] = []

    def host_address(peer: str | None = None) -> str:
        asked.append(peer)
        return "10.0.0.7"

    monkeypatch.setattr(addresses, "host_address", host_address)

    assert Publisher("10.0.0.1", ["A"]).get_host_address() == "10.0.0.7"
    assert asked == ["10.0.0.1"]


# Generated events, which need no network


def body_of(frame: bytes) -> list[Any]:
    body: list[Any] = msgspec.msgpack.decode(frame[frame.index(b"\0") + 2 :])
    return body


def test_generated_events_go_through_the_topics_in_turn() -> None:
    publisher = Publisher(topics=["A", "B", "C"])

    frames = [publisher.generate_publish_event(k) for k in range(7)]

    topics = [frame[: frame.index(b"\0")].decode() for frame in frames]
    assert topics == ["A", "B", "C", "A", "B", "C", "A"]


def test_generated_events_are_numbered_per_topic() -> None:
    publisher = Publisher(topics=["A", "B"])

    numbers = [body_of(publisher.generate_publish_event(k))[2] for k in range(6)]

    assert numbers == [0, 0, 1, 1, 2, 2]


def test_generated_events_are_stamped_with_the_chosen_clock() -> None:
    publisher = Publisher(topics=["A"], clock="monotonic")

    before_ns = time.monotonic_ns()
    stamp_ns = body_of(publisher.generate_publish_event())[3]

    assert before_ns <= stamp_ns <= time.monotonic_ns()


@given(st.integers(0, 3000), st.integers(0, 10**9))
def test_generated_payloads_have_the_size_that_was_asked_for(
    size: int, iteration: int
) -> None:
    publisher = Publisher(topics=["A"], payload_bytes=size)

    assert len(body_of(publisher.generate_publish_event(iteration))[4]) == size


# Before it is connected, and after


@pytest.mark.parametrize(
    "use",
    [
        lambda publisher: publisher.publish(),
        lambda publisher: publisher.publish_event("A", b""),
        lambda publisher: publisher.wait_for_subscribers(),
    ],
)
def test_an_unconnected_publisher_says_so(use: Callable[[Publisher], object]) -> None:
    with pytest.raises(PubSubError, match="not connected: call configure first"):
        use(Publisher(topics=["A"]))


def test_disconnecting_an_unconnected_publisher_does_nothing() -> None:
    publisher = Publisher(topics=["A"])

    publisher.disconnect()
    publisher.disconnect()


def test_a_disconnected_publisher_says_so(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")
    publisher.disconnect()

    with pytest.raises(PubSubError, match="was disconnected"):
        publisher.publish_event("A", b"")
    with pytest.raises(PubSubError, match="was disconnected"):
        publisher.publish()


# Registration


def test_it_registers_its_port_topics_clock_and_strengths_and_expects_no_model(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher(
        "A", "é", bind_port=0, clock="monotonic", strengths={"A": 3}
    )

    (request,) = broker.of(Register)
    assert publisher.address == f"127.0.0.1:{publisher.bind_port}"
    assert msgspec.structs.asdict(request) == {
        "id": request.id,
        "versions": VERSIONS,
        "role": "publisher",
        "topics": ["A", "é"],
        "address": publisher.address,
        "name": request.name,
        "clock": "monotonic",
        "model": None,
        "session": None,
        "strengths": {"A": 3},
        "place": place_for("auto", secure=False),
    }
    assert publisher.session == broker.session


def test_port_0_takes_any_free_port_and_tells_it(new_publisher: NewPublisher) -> None:
    first, second = (new_publisher("A", bind_port=0) for _ in range(2))

    assert 0 < first.bind_port != second.bind_port > 0
    assert first.address == f"127.0.0.1:{first.bind_port}"


def test_a_port_in_use_is_skipped(new_publisher: NewPublisher) -> None:
    first = new_publisher("A")

    second = new_publisher("A", bind_port=first.bind_port)

    assert second.bind_port > first.bind_port
    assert second.address == f"127.0.0.1:{second.bind_port}"


def test_without_a_free_port_it_says_from_which_on(broker: FakeBroker) -> None:
    publisher = Publisher("127.0.0.1", ["A"], bind_port=65535, broker_port=broker.port)
    with socket.socket() as last:
        try:
            last.bind(("127.0.0.1", 65535))
        except OSError:
            pass  # somebody else has it, which is as good
        else:
            last.listen()
        with pytest.raises(CannotListen, match="from 65535 on"):
            publisher.configure()


def test_an_address_of_another_host_cannot_be_listened_on(broker: FakeBroker) -> None:
    publisher = Publisher(
        "127.0.0.1", ["A"], address="192.0.2.1", broker_port=broker.port
    )

    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1"):
        publisher.configure()

    assert not broker.requests


def test_an_unreachable_broker_is_named_with_the_time_it_was_given() -> None:
    with unused_port() as port:
        publisher = Publisher(
            "127.0.0.1", ["A"], broker_port=port, connect_timeout_s=0.05
        )
        where = rf"tcp://127.0.0.1:{port} within 0.05"
        with pytest.raises(BrokerUnreachable, match=where):
            publisher.configure()


def test_a_refusal_is_an_error_with_the_brokers_reason(broker: FakeBroker) -> None:
    broker.refusal = ("wrong_clock", "sundials only")
    publisher = Publisher("127.0.0.1", ["A"], broker_port=broker.port)

    with pytest.raises(RegistrationRefused, match="sundials only") as caught:
        publisher.configure()

    assert caught.value.code == "wrong_clock"
    assert len(broker.of(Register)) == 1


def test_stop_ends_the_wait_for_a_broker() -> None:
    errors: list[Exception] = []

    def configure() -> None:
        try:
            publisher.configure()
        except NotReady as error:
            errors.append(error)

    with unused_port() as port:
        publisher = Publisher(
            "127.0.0.1", ["A"], broker_port=port, bind_port=0, connect_timeout_s=3600
        )
        thread = in_thread(configure)
        wait_for(lambda: publisher.address, "the port")
        publisher.stop()

        assert ended(thread)
    assert "stopped before a broker answered" in str(errors[0])


def test_it_keeps_session_and_numbers_when_the_broker_has_forgotten_it(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    broker.lease_s = 0.3  # heartbeats come every 0.1 s
    publisher = new_publisher("A")
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"before")

    broker.epoch, broker.knows_sessions = 2, False
    wait_for(lambda: len(broker.of(Register)) >= 2, "another registration")
    publisher.publish_event("A", b"after")

    assert broker.of(Register)[1].session == broker.session
    assert broker.of(Register)[1].address == publisher.address
    events = subscriber.events(2)
    assert [event.sequence for event in events] == [0, 1]
    assert {event.session for event in events} == {broker.session}


def test_another_broker_at_the_port_is_noticed_without_a_farewell_and_a_heartbeat() -> (
    None
):
    with FakeBroker() as first:
        publisher = Publisher("127.0.0.1", ["A"], broker_port=first.port, bind_port=0)
        publisher.configure()
    control = publisher._runtime._control
    assert control is not None
    link = control._loop._moves.link
    assert link is not None
    wait_for(lambda: not link.connected, "the end of the connection")

    with FakeBroker(port=first.port) as second:
        second.knows_sessions = False
        wait_for(lambda: second.of(Register), "its registration")
        publisher.disconnect()

    assert second.of(Register)[0].session == first.session


def test_a_broker_that_refuses_it_later_ends_its_publishing(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    broker.lease_s = 0.3
    publisher = new_publisher("A", indefinite=True, sleep_period=3600.0)
    errors: list[Exception] = []

    def publish() -> None:
        try:
            publisher.publish()
        except RegistrationRefused as error:
            errors.append(error)

    thread = in_thread(publish)
    broker.refusal = ("bad_topic", "not any more")
    broker.knows_sessions = False

    assert ended(thread)
    assert "not any more" in str(errors[0])
    with pytest.raises(RegistrationRefused):
        publisher.publish_event("A", b"")
    with pytest.raises(RegistrationRefused):
        publisher.wait_for_subscribers(1)


# Publishing


def test_it_publishes_the_asked_number_of_events_the_topics_in_turn(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B", max_event_count=7)
    subscriber = subscribe(publisher, "A", "B", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)

    assert publisher.publish() == 7

    events = subscriber.events(7)
    assert [event.topic for event in events] == list("ABABABA")
    assert [event.sequence for event in events] == [0, 0, 1, 1, 2, 2, 3]
    assert {event.publisher for event in events} == {publisher.address}
    assert {event.session for event in events} == {broker.session}
    assert {len(event.payload) for event in events} == {64}


def test_a_second_round_goes_on_with_the_numbers(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", max_event_count=2)
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)

    publisher.publish()
    publisher.publish()

    assert [event.sequence for event in subscriber.events(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("clock", ["realtime", "monotonic"])
def test_no_event_leaves_before_it_is_due(
    new_publisher: NewPublisher, subscribe: Subscribe, clock: str
) -> None:
    now_ns = time.time_ns if clock == "realtime" else time.monotonic_ns
    period_ns = 3_000_000
    publisher = new_publisher(
        "A", max_event_count=10, sleep_period=period_ns / 1e9, clock=clock
    )
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    start_ns = now_ns() + 20_000_000

    publisher.publish(start_ns)

    for index, event in enumerate(subscriber.events(10)):
        assert event.published_ns >= start_ns + index * period_ns


def test_a_late_publisher_catches_up_instead_of_shifting_the_rest(
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher("A", max_event_count=100, sleep_period=3600.0)

    # All of them were due long ago; if the schedule shifted, this would take days.
    assert publisher.publish(start_ns=0) == 100


@pytest.mark.parametrize("size", [0, 1, 255, 70_000, 2**20])
def test_a_users_payload_arrives_byte_for_byte(
    new_publisher: NewPublisher, subscribe: Subscribe, size: int
) -> None:
    publisher = new_publisher("é/ü")
    subscriber = subscribe(publisher, "é/ü", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    payload = os.urandom(size)

    publisher.publish_event("é/ü", payload)

    event = subscriber.next_event()
    assert event.payload == payload
    assert event.topic == "é/ü"


def test_a_topic_in_the_place_of_the_broker_is_named() -> None:
    publisher = Publisher("weather.invalid", connect_timeout_s=0.1)

    with pytest.raises(PubSubError, match=r"weather\.invalid") as caught:
        publisher.configure()

    assert "write Publisher(topics=['weather'])" in caught.value.__notes__[0]


def test_an_event_of_a_topic_it_does_not_have_is_refused(
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher("A", "B", declared_only=True)

    with pytest.raises(ConfigError, match=r"'C' is not one of .*: A, B"):
        publisher.publish_event("C", b"")
    with pytest.raises(ConfigError, match="control character"):
        publisher.publish_event("A\0", b"")


@pytest.mark.parametrize("topic", [None, ["A"], 5, b"A", {}])
def test_a_topic_that_is_not_text_is_refused(
    new_publisher: NewPublisher, topic: Any
) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match="a topic is text, not"):
        publisher.publish_event(topic, b"x")
    with pytest.raises(ConfigError, match="a topic is text, not"):
        publisher.publish_events([(topic, b"x")])


@pytest.mark.parametrize("events", [None, 5])
def test_what_cannot_be_iterated_is_no_list_of_events(
    new_publisher: NewPublisher, events: Any
) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match=f"not {type(events).__name__}$"):
        publisher.publish_events(events)


def test_a_mapping_is_not_a_list_of_events(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")
    events: Any = {"A": b"x"}

    with pytest.raises(ConfigError, match=r"publish_events\(mapping\.items\(\)\)"):
        publisher.publish_events(events)
    assert publisher.publish_events(events.items()) == 1


@pytest.mark.parametrize("payload", [None, ["x"], 5])
def test_a_payload_that_is_neither_bytes_nor_text_is_refused(
    new_publisher: NewPublisher, payload: Any
) -> None:
    publisher = new_publisher("A")

    with pytest.raises(ConfigError, match="the payload is bytes or text, not"):
        publisher.publish_event("A", payload)


def test_only_the_topic_itself_is_sent_to_its_subscriber(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "AB", "B")
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)

    for topic in ("AB", "B", "A", "AB", "A"):
        publisher.publish_event(topic, topic.encode())

    assert [event.payload for event in subscriber.events(2)] == [b"A", b"A"]


def test_a_generated_frame_can_be_sent_by_hand(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")

    event = decode_event(publisher.generate_publish_event(1))

    assert (event.topic, event.session, event.sequence) == ("B", broker.session, 0)
    assert event.publisher == publisher.address


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_events_of_several_threads_are_numbered_in_the_order_they_leave(
    new_publisher: NewPublisher, subscribe: Subscribe, overflow: str
) -> None:
    publisher = new_publisher("A", overflow=overflow, queue_limit=100_000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=100_000)
    publisher.wait_for_subscribers(1, WAIT_S)

    def publish(name: bytes) -> None:
        for number in range(500):
            publisher.publish_event("A", b"%s%d" % (name, number))

    names = (b"a", b"b", b"c", b"d")
    threads = [in_thread(functools.partial(publish, name)) for name in names]

    events = subscriber.events(2000)
    assert [event.sequence for event in events] == list(range(2000))
    for name in names:
        own = [event for event in events if event.payload.startswith(name)]
        assert [event.payload for event in own] == [
            b"%s%d" % (name, n) for n in range(500)
        ]
        stamps = [event.published_ns for event in own]
        assert stamps == sorted(stamps)
    assert all(ended(thread) for thread in threads)


# The end of publishing


@pytest.mark.parametrize("sleep_period", [0.0, 0.0005, 3600.0])
def test_stop_ends_an_indefinite_publisher(
    new_publisher: NewPublisher, sleep_period: float
) -> None:
    publisher = new_publisher("A", indefinite=True, sleep_period=sleep_period)
    counts: list[int] = []
    thread = in_thread(lambda: counts.append(publisher.publish()))
    wait_for(
        lambda: publisher._runtime.topics.states["A"].next_sequence, "the first event"
    )

    publisher.stop()

    assert ended(thread)
    assert publisher.stopped
    # An event may still be in its batch, which leaves within a millisecond.
    assert counts == [publisher._runtime.topics.states["A"].next_number]


def test_stop_may_come_at_any_moment_as_from_a_signal_handler(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    """Calls it at every line that `publish` and what it calls go through: a lock that
    the interrupted thread holds would never be let go."""
    publisher = new_publisher(
        "A", indefinite=True, sleep_period=0.0003, overflow="block"
    )
    subscriber = subscribe(publisher, "A", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    left = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if event == "line" and (left := left - 1) == 0:
            sys.settrace(None)
            publisher.stop()
        return trace

    def publish(lines: int) -> None:
        nonlocal left
        left, publisher._runtime.stopping = lines, False
        publisher._runtime.events._accepting = True
        sys.settrace(trace)
        try:
            publisher.publish()
        finally:
            sys.settrace(None)

    for lines in range(1, 200):
        if not ended(in_thread(functools.partial(publish, lines))):
            # Release the lock that the thread would hold forever, so that the test can end.
            for lock in (
                publisher._runtime.events.lock,
                publisher._runtime.events._waiting_order,
            ):
                if lock.locked():
                    lock.release()
            pytest.fail(f"stop at line {lines} was never seen")

    subscriber.close()


def test_a_real_signal_ends_publishing(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A", indefinite=True, sleep_period=0.001)
    before = signal.signal(signal.SIGUSR1, lambda *_: publisher.stop())

    def send() -> None:
        wait_for(
            lambda: publisher._runtime.topics.states["A"].next_sequence > 3,
            "some events",
        )
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    try:
        thread = in_thread(send)
        assert publisher.publish() > 3
        assert ended(thread)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_leaving_tells_the_broker_how_far_each_topic_went(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B", "C", max_event_count=4)
    publisher.publish()

    publisher.disconnect()
    publisher.disconnect()

    (farewell,) = broker.farewells()
    assert farewell.session == broker.session
    assert farewell.next_sequences == {"A": 2, "B": 1, "C": 1}


def test_what_was_published_last_still_arrives(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", linger_s=WAIT_S, queue_limit=1000)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    for _ in range(300):
        publisher.publish_event("A", bytes(10_000))

    thread = in_thread(publisher.disconnect)

    assert [event.sequence for event in subscriber.events(300)] == list(range(300))
    assert ended(thread)


def test_a_signal_does_not_cut_short_what_still_has_to_go_out(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", linger_s=WAIT_S)
    subscriber = subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    for _ in range(2000):  # more than the system buffers
        publisher.publish_event("A", bytes(10_000))
    events = publisher._runtime.events
    handled, disconnected = threading.Event(), threading.Event()
    too_early: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.set())

    def interrupt_and_receive() -> None:
        wait_for(lambda: events.socket.closed, "the end of the socket")
        while not handled.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            handled.wait(0.02)
        too_early.append(disconnected.wait(0.3))
        subscriber.events(2000)

    try:
        thread = in_thread(interrupt_and_receive)
        publisher.disconnect()
        disconnected.set()
        assert ended(thread)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert too_early == [False]


def test_a_subscriber_that_never_reads_does_not_keep_it_from_leaving(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", linger_s=0.05, queue_limit=3000)
    subscribe(publisher, "A", session=5, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    for _ in range(3000):
        publisher.publish_event("A", bytes(10_000))

    assert ended(in_thread(publisher.disconnect))


def test_a_broker_that_does_not_answer_does_not_keep_it_from_leaving(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    broker.silent = True

    assert ended(in_thread(publisher.disconnect))
    assert broker.farewells()


# The ready handshake


def test_it_answers_a_ready_subscription_with_the_next_number(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B", max_event_count=5)
    publisher.publish()

    subscriber = subscribe(publisher, "A", "B", session=2**53 - 1)

    answers = dict(subscriber.next_answer() for _ in range(2))
    assert {topic: event.sequence for topic, event in answers.items()} == {
        "A": 3,
        "B": 2,
    }
    assert {event.session for event in answers.values()} == {broker.session}
    assert {event.publisher for event in answers.values()} == {publisher.address}
    assert {event.payload for event in answers.values()} == {b""}


def test_a_subscriber_that_came_before_the_broker_is_answered_after_it(
    broker: FakeBroker, subscribe: Subscribe
) -> None:
    broker.silent = True
    publisher = Publisher("127.0.0.1", ["A"], broker_port=broker.port, bind_port=0)
    thread = in_thread(publisher.configure)
    wait_for(lambda: publisher.address, "the port")
    subscriber = subscribe(publisher, "A", session=5)
    wait_for(lambda: publisher.subscriber_count, "the subscription")

    broker.silent = False

    _, answer = subscriber.next_answer()
    assert answer.session == broker.session
    assert ended(thread)
    publisher.disconnect()


def test_a_ready_topic_of_somebody_elses_topic_is_not_answered(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    """A broker passes on to each of its publishers what any of them is asked."""
    publisher = new_publisher("A")
    subscriber = subscribe(publisher, "AB", "B", session=5)
    subscriber.get_ready(6, "A")

    topic, _ = subscriber.next_answer()

    assert topic == "A"
    assert publisher.subscriber_count == 1
    assert not subscriber.socket.poll(0)


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_newcomers_are_answered_while_it_publishes_at_full_speed(
    new_publisher: NewPublisher, subscribe: Subscribe, overflow: str
) -> None:
    """A send may swallow the wake-up that tells of a subscription."""
    publisher = new_publisher("A", "B", indefinite=True, overflow=overflow)
    thread = in_thread(publisher.publish)

    for session in range(40):
        subscriber = subscribe(publisher, "B", session=session)
        topic, answer = subscriber.next_answer()
        assert topic == "B"
        assert subscriber.next_event().sequence == answer.sequence
        subscriber.close()

    publisher.stop()
    assert ended(thread)


def test_newcomers_are_answered_however_their_arrival_meets_a_single_event(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    """After the last event nobody sends any more: what its send has swallowed must
    be found by the control thread."""
    publisher = new_publisher("A", "other")

    for session in range(100):
        subscriber = subscribe(publisher, "A", session=session)
        for _ in range(session % 10):
            publisher.publish_event("other", b"")
        assert subscriber.next_answer()[1].sequence == 0
        subscriber.close()


def test_a_subscription_whose_wake_up_was_swallowed_is_found_a_little_later(
    new_publisher: NewPublisher, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = new_publisher("A", "other")
    control = publisher._runtime._control
    assert control is not None
    serve = control._loop._on_wake
    turns, gate = 0, threading.Event()

    def serve_and_wait() -> float | None:
        nonlocal turns
        again_s = serve()
        turns += 1
        gate.wait(WAIT_S)  # until then the thread does not see the descriptor
        return again_s

    monkeypatch.setattr(control._loop, "_on_wake", serve_and_wait)
    publisher._runtime.events.look_at_ns = 2**63  # the sending thread does not look
    publisher.publish_event("other", b"")
    wait_for(lambda: turns, "a turn of the control thread")
    subscriber = subscribe(publisher, "A", session=5)
    with publisher._runtime.events.lock:
        assert publisher._runtime.events.socket.poll(
            round(WAIT_S * 1000)
        )  # swallows it
    publisher.publish_event("other", b"")

    gate.set()

    assert subscriber.next_answer()[0] == "A"


def test_an_answer_promises_no_event_that_is_still_waiting_to_leave(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    """Else that event would look like a duplicate to the new subscriber."""
    publisher = new_publisher("A", overflow="block", queue_limit=1)
    stalled = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    blocked = in_thread(lambda: fill(publisher))
    wait_until_blocked(publisher)

    newcomer = subscribe(publisher, "A", session=2)
    _, answer = newcomer.next_answer()
    stalled.close()  # gives way to the event that waits

    assert newcomer.next_event().sequence == answer.sequence
    publisher.stop()
    newcomer.close()
    assert ended(blocked)


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_a_ready_subscription_that_is_repeated_is_answered_again(
    new_publisher: NewPublisher, subscribe: Subscribe, overflow: str
) -> None:
    """So a subscriber asks again when an answer has not come."""
    publisher = new_publisher("A", overflow=overflow)
    subscriber = subscribe(publisher, "A", session=5)
    assert subscriber.next_answer()[1].sequence == 0
    publisher.publish_event("A", b"")

    subscriber.socket.unsubscribe(ready_topic("A", 5))
    subscriber.get_ready(5, "A")

    assert subscriber.next_answer()[1].sequence == 1
    assert publisher.subscriber_count == 1


def test_under_block_an_answer_waits_for_room_in_the_queue(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", queue_limit=1, overflow="block")
    subscriber = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = in_thread(lambda: fill(publisher))
    wait_until_blocked(publisher)

    subscriber.get_ready(2, "A")
    publisher.wait_for_subscribers(2, WAIT_S)
    publisher.stop()
    assert ended(thread)
    subscriber.next_answer()  # the first one, which came before the events

    _, answer = subscriber.next_answer()
    # Some room may have been left, and then events follow it.
    end = publisher._runtime.topics.states["A"].next_sequence
    following = subscriber.events(end - answer.sequence)
    assert [each.sequence for each in following] == [*range(answer.sequence, end)]


def fill(publisher: Publisher) -> None:
    """Publish until stopped."""
    try:
        while True:
            publisher.publish_event("A", bytes(100_000))
    except PubSubError:
        pass


def wait_until_blocked(publisher: Publisher) -> None:
    """Return when no event has left for a while."""
    topic = publisher._runtime.topics.states["A"]
    seen, since = 0, time.monotonic()

    def blocked() -> bool:
        nonlocal seen, since
        if topic.next_sequence != seen:
            seen, since = topic.next_sequence, time.monotonic()
        return seen > 0 and time.monotonic() - since > 0.1

    wait_for(blocked, "a full queue")


def test_leaving_tells_the_next_sequence_numbers(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    """There may be no broker to pass it on, or a subscriber too busy to look at that."""
    publisher = new_publisher("A", history=10, linger_s=WAIT_S)
    subscriber = subscribe(publisher, "A", session=1)
    subscriber.socket.subscribe(position_prefix("A"))

    def next_position() -> int:
        while (told := decode_position(subscriber.socket.recv())) is None:
            pass
        return told[1].sequence

    assert next_position() == 0
    for _ in range(3):
        publisher.publish_event("A", b"")
    thread = in_thread(publisher.disconnect)

    assert next_position() == 3
    assert ended(thread)


# Waiting for subscribers


def test_waiting_for_subscribers_ends_when_enough_of_them_are_ready(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B")
    subscribe(publisher, "A", "B", session=1)
    subscribe(publisher, "A", session=2)

    publisher.wait_for_subscribers(2, WAIT_S)

    assert publisher.subscriber_count == 2


def test_a_subscriber_of_two_topics_counts_once(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B")
    subscriber = subscribe(publisher, "A", "B", session=1)
    subscriber.next_answer()
    subscriber.next_answer()

    with pytest.raises(NotReady, match="1 of 2 subscribers are ready"):
        publisher.wait_for_subscribers(2, timeout_s=0)


def test_a_subscriber_that_leaves_no_longer_counts(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", "B")
    first = subscribe(publisher, "A", "B", session=1)
    subscribe(publisher, "A", session=2)
    publisher.wait_for_subscribers(2, WAIT_S)

    first.close()

    wait_for(lambda: publisher.subscriber_count == 1, "its leaving")


def test_a_mere_subscription_is_not_a_ready_subscriber(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A")
    subscribe(publisher, "A")

    with pytest.raises(NotReady, match="0 of 1 subscriber is ready"):
        publisher.wait_for_subscribers(1, timeout_s=0.05)


def test_everything_published_after_the_wait_arrives(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    for _ in range(20):
        publisher = new_publisher("A")
        subscriber = subscribe(publisher, "A", session=1)
        publisher.wait_for_subscribers(1, WAIT_S)
        publisher.publish_event("A", b"first")
        assert subscriber.next_event().sequence == 0
        subscriber.close()
        publisher.disconnect()


def test_stop_ends_the_wait_for_subscribers(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A")
    errors: list[Exception] = []

    def wait() -> None:
        try:
            publisher.wait_for_subscribers(1)
        except NotReady as error:
            errors.append(error)

    thread = in_thread(wait)
    publisher.stop()

    assert ended(thread)
    assert str(errors[0]) == "0 of 1 subscriber is ready"


# Full queues


def test_under_drop_a_stalled_subscriber_stops_nobody(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher(
        "A", queue_limit=10, payload_bytes=10_000, max_event_count=3000
    )
    stalled = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)

    assert publisher.publish() == 3000

    seen = -1

    def misses_some() -> bool:
        nonlocal seen
        publisher.publish_event("A", b"")
        while stalled.socket.poll(0):
            before, seen = seen, stalled.next_event().sequence
            if seen > before + 1:
                return True
        return False

    stalled.next_answer()
    wait_for(misses_some, "a gap in what it receives")


def test_under_block_a_stalled_subscriber_loses_nothing(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", queue_limit=10, overflow="block")
    subscriber = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = in_thread(lambda: fill(publisher))
    wait_until_blocked(publisher)

    events = subscriber.events(200)

    assert [event.sequence for event in events] == list(range(200))
    publisher.stop()
    assert ended(thread)


def test_under_block_the_log_names_the_subscriber_that_is_not_reading(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stall_s = "pubsub_publisher.sending.stall_log._STALL_S"
    # No line while libzmq's thread is only late: no subscriber could be named.
    monkeypatch.setattr(stall_s, 3600.0)
    publisher = new_publisher("A", queue_limit=10, overflow="block")
    subscriber = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = in_thread(lambda: fill(publisher))
    wait_until_blocked(publisher)
    monkeypatch.setattr(stall_s, 0.01)

    def said() -> list[str]:
        """The log lines in a turn of the control thread, and in earlier ones."""
        assert publisher._runtime._control is not None
        publisher._runtime._control.wake()
        return [line for line in caplog.messages if line.startswith("publishing waits")]

    wait_for(said, "a word of it")
    turns = iter(range(20))
    wait_for(lambda: said() and next(turns, None) is None, "more turns")
    publisher.stop()
    assert ended(thread)

    [line] = said()
    found = re.search(
        r": 127\.0\.0\.1:(\d+) is not reading \(\d+ bytes are queued\)", line
    )
    assert found, line
    host, _, port = publisher.address.partition(":")
    assert host == "127.0.0.1"
    table = Path("/proc/net/tcp").read_text()
    assert f":{int(found[1]):04X} 0100007F:{int(port):04X}" in table
    subscriber.close()


def test_disconnect_says_whose_events_it_drops(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A", queue_limit=10, overflow="block", linger_s=0.5)
    subscriber = subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    thread = in_thread(lambda: fill(publisher))
    wait_until_blocked(publisher)
    publisher.disconnect()
    assert ended(thread)
    [line] = [each for each in caplog.messages if "are dropped" in each]
    assert re.fullmatch(
        r"127\.0\.0\.1:\d+ has not read all within 0\.5 s \(linger_s\): \d+ bytes are on "
        "their way, the events queued behind them are dropped",
        line,
    )
    subscriber.close()


def test_disconnect_is_silent_if_all_events_have_left(
    new_publisher: NewPublisher,
    subscribe: Subscribe,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A", overflow="block")
    subscriber = subscribe(publisher, "A", session=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_event("A", b"x")
    publisher.disconnect()
    assert not [each for each in caplog.messages if "linger_s" in each]
    subscriber.close()


def test_under_block_a_stalled_subscriber_that_leaves_lets_the_others_go_on(
    new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", queue_limit=10, overflow="block")
    stalled = subscribe(publisher, "A", session=1, queue_limit=1)
    other = subscribe(publisher, "A", session=2)
    publisher.wait_for_subscribers(2, WAIT_S)
    thread = in_thread(lambda: fill(publisher))
    first = other.next_event()
    wait_until_blocked(publisher)
    blocked_at = publisher._runtime.topics.states["A"].next_sequence

    stalled.close()

    events = other.events(blocked_at + 50)
    assert first.sequence == 0
    assert [event.sequence for event in events] == list(range(1, blocked_at + 51))
    publisher.stop()
    assert ended(thread)


@pytest.mark.parametrize("end", ["stop", "disconnect"])
def test_an_event_that_is_blocked_at_the_end_was_not_published(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe, end: str
) -> None:
    publisher = new_publisher("A", queue_limit=10, overflow="block")
    subscribe(publisher, "A", session=1, queue_limit=1)
    publisher.wait_for_subscribers(1, WAIT_S)
    errors: list[PubSubError] = []
    published = 0

    def publish() -> None:
        nonlocal published
        try:
            while True:
                publisher.publish_event("A", bytes(100_000))
                published += 1
        except PubSubError as error:
            errors.append(error)

    thread = in_thread(publish)
    wait_until_blocked(publisher)

    getattr(publisher, end)()
    assert ended(thread)
    publisher.disconnect()

    assert "stopped before the event could leave" in str(errors[0])
    (farewell,) = broker.farewells()
    assert farewell.next_sequences == {"A": published}


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_leaving_while_other_threads_publish_is_an_error_to_them_and_nothing_else(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe, overflow: str
) -> None:
    for number in range(1, 11):
        publisher = new_publisher("A", overflow=overflow)
        subscribe(publisher, "A", session=1)
        publisher.wait_for_subscribers(1, WAIT_S)
        published = [0] * 3

        def publish(place: int, publisher: Publisher, published: list[int]) -> None:
            try:
                while True:
                    publisher.publish_event("A", b"")
                    published[place] += 1
            except PubSubError:
                pass

        threads = [
            in_thread(functools.partial(publish, place, publisher, published))
            for place in range(3)
        ]
        wait_for(functools.partial(all, published), "all of them to be publishing")

        publisher.disconnect()

        assert all(ended(thread) for thread in threads)
        assert broker.farewells(number)[-1].next_sequences == {"A": sum(published)}


# The control thread


def test_it_renews_its_lease_while_the_user_does_something_else(
    broker: FakeBroker, new_publisher: NewPublisher
) -> None:
    broker.lease_s = 0.3
    new_publisher("A")

    wait_for(lambda: len(broker.of(Heartbeat)) >= 3, "heartbeats")

    assert {request.session for request in broker.of(Heartbeat)} == {broker.session}


def test_publishing_at_full_speed_does_not_keep_the_control_thread_busy(
    new_publisher: NewPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = new_publisher("A", max_event_count=20_000)
    turns = 0
    tick = publisher._runtime.core.tick

    def counted(now: float) -> list[Send | EndConnection]:
        nonlocal turns
        turns += 1
        return tick(now)

    monkeypatch.setattr(publisher._runtime.core, "tick", counted)
    started_at = time.monotonic()

    publisher.publish()

    # It looks about once in a millisecond, however many events there are.
    assert turns <= (time.monotonic() - started_at) / 0.0005 + 20


def test_a_lease_of_any_length_is_accepted(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    broker.lease_s = 1e300
    publisher = new_publisher("A")

    assert subscribe(publisher, "A", session=1).next_answer()[0] == "A"

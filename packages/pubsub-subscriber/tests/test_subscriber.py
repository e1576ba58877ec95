"""The subscriber, against a broker and publishers made of bare sockets."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.connected_subscribers import BOTH_MODELS, become_ready, connect
from support.fake_broker import FakeBroker
from support.ports import unused_port
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

from pubsub_common.errors import (
    BrokerUnreachable,
    ConfigError,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.measurement.latency_file import HEADER
from pubsub_common.net import addresses
from pubsub_common.protocol.events import (
    Event,
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    ready_topic,
)
from pubsub_common.protocol.messages import (
    Departure,
    Error,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    TopicPort,
)
from pubsub_common.protocol.sequence import Counts, Gap
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber
from pubsub_subscriber.connections.direct import DirectConnections
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving import fullness

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]

# Arguments


def test_the_defaults_are_those_of_the_driver() -> None:
    subscriber = Subscriber(topics=["A"])

    assert subscriber.filename is None
    assert subscriber.indefinite is False
    assert subscriber.max_event_count is None
    assert subscriber.config.notify_limit == 15
    assert subscriber.centralized is None


def test_the_environment_is_for_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_KEYS", "no such file")
    monkeypatch.setenv("PUBSUB_BROKER", "127.0.0.9:7777")

    subscriber = Subscriber(topics=["A"])

    assert subscriber.broker_address == "127.0.0.1"
    assert subscriber._runtime.broker == "127.0.0.1:5555"
    assert subscriber._runtime._keys is None


@pytest.mark.parametrize("model", ["centralized", "decentralized"])
def test_the_broker_may_have_a_name_and_its_port_with_it(
    broker: FakeBroker, new_subscriber: Callable[..., Subscriber], model: Model
) -> None:
    broker.model = model
    subscriber = new_subscriber(
        broker_address=f"localhost:{broker.port}", broker_port=None
    )

    assert subscriber.broker_address == "localhost"
    assert subscriber.session > 0


def test_a_name_that_is_not_known_is_an_error_at_the_start() -> None:
    subscriber = Subscriber(
        topics=["A"], broker_address="broker.invalid", connect_timeout_s=0
    )

    with pytest.raises(PubSubError, match=r"is known of 'broker\.invalid'") as found:
        subscriber.configure()

    assert not isinstance(found.value, ConfigError)


def test_arguments_may_be_given_in_the_documented_order(tmp_path: Path) -> None:
    file = str(tmp_path / "file.csv")

    subscriber = Subscriber(file, "127.0.0.2", ["A", "B"], False, 3, True)

    assert subscriber.filename == file
    assert subscriber.broker_address == "127.0.0.2"
    assert subscriber.topics == ("A", "B")
    assert subscriber.indefinite is False
    assert subscriber.max_event_count == 3
    assert subscriber.centralized is True


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"topics": []}, "at least one topic"),
        ({"topics": "AB"}, "not a text"),
        ({"topics": ["A\0"]}, "control character"),
        ({"broker_address": "bro/ker"}, "'bro/ker' is not an IP address"),
        ({"broker_address": "b:5556", "broker_port": 5555}, "contradict each other"),
        ({"address": "0.0.0.0"}, "not the address of one host"),
        ({"max_event_count": 0}, "max_event_count"),
        ({"broker_port": 0}, "broker_port"),
        ({"broker_port": 65536}, "broker_port"),
        ({"clock": "sundial"}, "clock must be"),
        ({"queue_limit": 0}, "queue_limit"),
        ({"queue_limit": 2**31}, "queue_limit"),
        ({"filename": "f.csv", "indefinite": True}, "never happens to an indefinite"),
        ({"filename": "/nowhere/f.csv"}, "there is no folder /nowhere"),
        ({"filename": "/"}, "it is a folder"),
    ],
)
def test_an_argument_that_cannot_work_is_named(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Subscriber(**{"topics": ["A"], **options})

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "broker", ["10.0.0.1", "10.0.0.1:5555", "[::1]:5555", "2001:db8::1", "pubsub://h/w"]
)
def test_a_broker_in_the_place_of_the_filename_is_named(broker: str) -> None:
    with pytest.raises(ConfigError, match="is taken as filename") as caught:
        Subscriber(broker, topics=["weather"])

    assert str(caught.value).endswith(
        f"write Subscriber(broker_address={broker!r}, topics=...)"
    )


@pytest.mark.parametrize("topic", ["weather", "sensors/#"])
def test_a_topic_in_the_place_of_the_filename_is_named(topic: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Subscriber(topic)

    assert str(caught.value) == (
        f"at least one topic is needed: {topic!r} is taken as filename, the first "
        f"argument; write Subscriber(topics=[{topic!r}])"
    )


def test_a_host_name_in_the_place_of_the_filename_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        Subscriber("broker.example", ["weather"])

    assert str(caught.value) == (
        "at least one topic is needed: 'broker.example' is taken as filename, the first "
        "argument, and ['weather'] as brokers; write "
        "Subscriber(broker_address='broker.example', topics=...)"
    )


@pytest.mark.parametrize("topics", [["weather"], ("weather", "news"), {"weather"}])
def test_topics_in_the_place_of_the_filename_are_named(topics: Any) -> None:
    with pytest.raises(ConfigError, match="filename, the first argument") as caught:
        Subscriber(topics)

    assert str(caught.value).endswith(f"write Subscriber(topics={topics!r})")


def test_a_filename_without_topics_is_not_taken_for_one() -> None:
    with pytest.raises(ConfigError, match=r"^at least one topic is needed$"):
        Subscriber("latencies.csv")


def test_a_given_address_is_the_host_address() -> None:
    subscriber = Subscriber(None, "10.0.0.1", ["A"], address="10.0.0.9")

    assert subscriber.get_host_address() == "10.0.0.9"


def test_without_one_the_host_address_is_the_one_towards_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "host_address", lambda peer: f"towards {peer}")

    subscriber = Subscriber(None, "10.0.0.1", ["A"])

    assert subscriber.get_host_address() == "towards 10.0.0.1"


# Before it is connected, and after


@pytest.mark.parametrize(
    "use",
    [
        lambda subscriber: subscriber.receive(0),
        lambda subscriber: subscriber.receive(),
        lambda subscriber: next(iter(subscriber)),
        lambda subscriber: subscriber.notify(),
        lambda subscriber: subscriber.wait_until_ready(),
    ],
)
def test_an_unconnected_subscriber_says_so(use: Callable[[Subscriber], object]) -> None:
    with pytest.raises(PubSubError, match="not connected: call configure first"):
        use(Subscriber(topics=["A"]))


def test_what_needs_no_connection_works_without_one(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    subscriber = Subscriber(str(file), topics=["A"])

    assert subscriber.parse_publish_event() is None
    assert subscriber.counts().received == 0
    subscriber.parse_notification()
    subscriber.write_stored_messages()
    subscriber.stop()
    subscriber.disconnect()

    assert file.read_text() == ",".join(HEADER) + "\n"


def test_a_disconnected_subscriber_says_so(new_subscriber: NewSubscriber) -> None:
    subscriber = new_subscriber("A")
    subscriber.disconnect()
    subscriber.disconnect()
    subscriber.stop()  # does nothing any more; a signal may come at any time

    with pytest.raises(PubSubError, match="was disconnected; make a new one"):
        subscriber.wait_until_ready()


# Registration


@BOTH_MODELS
def test_it_registers_its_topics_address_clock_and_the_model_it_expects(
    broker: FakeBroker, new_subscriber: NewSubscriber, model: Model
) -> None:
    broker.model = model

    subscriber = new_subscriber(
        "A",
        "é",
        clock="monotonic",
        address="127.0.0.9",
        centralized=model == "centralized",
    )

    (request,) = broker.of(Register)
    assert msgspec.structs.asdict(request) == {
        "id": request.id,
        "versions": VERSIONS,
        "role": "subscriber",
        "topics": ["A", "é"],
        "address": "127.0.0.9",
        "clock": "monotonic",
        "model": model,
        "session": None,
        "strengths": {},
        "name": subscriber.name,
        "place": None,
    }
    assert subscriber.session == broker.session


def test_an_unreachable_broker_is_named_with_the_time_it_was_given() -> None:
    with unused_port() as port:
        subscriber = Subscriber(topics=["A"], broker_port=port, connect_timeout_s=0.05)
        where = rf"tcp://127.0.0.1:{port} within 0.05"
        with pytest.raises(BrokerUnreachable, match=where):
            subscriber.configure()


def test_a_refusal_is_an_error_with_the_brokers_reason(broker: FakeBroker) -> None:
    broker.refusal = ("wrong_model", "this is a post office")
    subscriber = Subscriber(topics=["A"], broker_port=broker.port)

    with pytest.raises(RegistrationRefused, match="a post office") as caught:
        subscriber.configure()

    assert caught.value.code == "wrong_model"


def test_stop_ends_the_wait_for_a_broker(broker: FakeBroker) -> None:
    broker.silent = True
    subscriber = Subscriber(
        topics=["A"], broker_port=broker.port, connect_timeout_s=3600
    )
    errors: list[Exception] = []

    def configure() -> None:
        try:
            subscriber.configure()
        except NotReady as error:
            errors.append(error)

    thread = in_thread(configure)
    wait_for(lambda: broker.of(Register), "an attempt")
    subscriber.stop()

    assert ended(thread)
    assert "stopped before a broker answered" in str(errors[0])


def test_a_message_that_is_none_is_ignored(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A")
    subscriber = new_subscriber("A")

    broker.send(b"\xff{")
    broker.tell(joined=[publisher.info])

    publisher.get_ready()
    publisher.publish("A")
    assert subscriber.receive(WAIT_S) is not None
    assert "sent an invalid control message" in caplog.text


# Connections


def test_decentralized_it_connects_to_the_publishers_that_are_there(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publishers = [new_publisher("A"), new_publisher("A", "B")]
    broker.publishers = [publisher.info for publisher in publishers]

    subscriber = new_subscriber("A", "B")

    for publisher in publishers:
        asked = publisher.wait_for_ready(2)
        assert asked == [("A", subscriber.session), ("B", subscriber.session)]


def test_decentralized_it_connects_to_a_publisher_that_joins(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    subscriber = new_subscriber("A")
    publisher = new_publisher("A")

    broker.tell(joined=[publisher.info])

    publisher.get_ready()
    publisher.publish("A", b"hello")
    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert (event.publisher, event.payload) == (publisher.address, b"hello")


def test_centralized_it_uses_one_connection_for_each_port(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher("A", "B"), new_publisher("C")
    broker.model = "centralized"
    broker.ports = {"A": first.port, "B": first.port, "C": second.port}

    subscriber = new_subscriber("A", "B", "C")

    asked = [topic for topic, _ in first.wait_for_ready(2)]
    assert asked == ["A", "B"]
    assert [topic for topic, _ in second.wait_for_ready(1)] == ["C"]
    second.publish("C")
    first.publish("B")
    events = [subscriber.receive(WAIT_S) for _ in range(2)]
    assert sorted(event.topic for event in events if event) == ["B", "C"]


def test_centralized_it_does_not_connect_to_publishers(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    forwarder, publisher = new_publisher("A"), new_publisher("A")
    broker.model = "centralized"
    broker.ports = {"A": forwarder.port}
    broker.publishers = [publisher.info]  # even if it knew where they are
    subscriber = new_subscriber("A")
    forwarder.wait_for_ready()

    broker.tell(joined=[publisher.info])
    forwarder.publish("A")

    assert subscriber.receive(WAIT_S) is not None
    assert not publisher.socket.poll(0)


def test_publishers_may_be_named_as_in_the_brokers_json(
    new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = new_subscriber("A")

    subscriber.setup_publisher_direct_connections(
        [{"session": 1, "topics": ["A"], "address": publisher.address}]
    )
    subscriber.setup_publisher_direct_connections(None)
    subscriber.setup_notification_polling(4711)

    publisher.wait_for_ready()
    publisher.publish("A")
    assert subscriber.receive(WAIT_S) is not None


# Receiving


@BOTH_MODELS
@pytest.mark.parametrize("size", [0, 1, 255, 70_000, 2**20])
def test_an_event_arrives_with_all_that_was_published(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
    size: int,
) -> None:
    publisher = new_publisher("é/ü")
    subscriber = connect(broker, model, publisher, new_subscriber, "é/ü")
    payload = os.urandom(size)
    before_ns = time.time_ns()

    publisher.publish("é/ü", payload)
    event = subscriber.receive(WAIT_S)

    assert event is not None
    assert event.topic == "é/ü"
    assert event.payload == payload
    assert event.publisher == publisher.address
    assert (event.session, event.sequence) == (publisher.session, 0)
    assert before_ns <= event.published_ns <= event.received_ns <= time.time_ns()
    assert event.latency_ns == event.received_ns - event.published_ns


def test_the_receive_stamp_is_of_the_chosen_clock(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, clock="monotonic"
    )
    before_ns = time.monotonic_ns()

    publisher.publish("A")
    event = subscriber.receive(WAIT_S)

    assert event is not None
    assert before_ns <= event.received_ns <= time.monotonic_ns()


def test_a_limited_subscriber_receives_no_more_than_its_limit(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, max_event_count=3
    )
    for _ in range(5):
        publisher.publish("A")

    assert [event.sequence for event in subscriber] == [0, 1, 2]
    assert subscriber.receive() is None
    assert list(subscriber) == []
    assert subscriber.event_count == 3


def test_without_an_event_receive_ends_at_its_time(
    new_subscriber: NewSubscriber,
) -> None:
    subscriber = new_subscriber("A")

    assert subscriber.receive(0) is None
    assert subscriber.receive(0.02) is None


def test_any_time_limit_is_accepted(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    broker.lease_s = 1e300
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    events: list[Event | None] = []
    thread = in_thread(lambda: events.append(subscriber.receive(float("inf"))))

    publisher.publish("A")

    assert ended(thread)
    assert events[0] is not None


def test_events_can_be_taken_by_topic_and_the_others_stay(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A", "B")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber, "A", "B")
    for topic in "ABBAB":
        publisher.publish(topic, topic.encode())
    wait_for(
        lambda: subscriber._runtime.receiver.buffered_count() >= 5 or fetch(subscriber),
        "five frames",
    )

    taken = [subscriber.parse_publish_event("B") for _ in range(4)]
    rest = [subscriber.parse_publish_event() for _ in range(3)]

    assert [event and event.sequence for event in taken] == [0, 1, 2, None]
    assert [event and (event.topic, event.sequence) for event in rest] == [
        ("A", 0),
        ("A", 1),
        None,
    ]
    assert subscriber.event_count == 5


def fetch(subscriber: Subscriber) -> bool:
    subscriber._runtime.receiver.fetch()
    return False


@pytest.mark.parametrize(
    "frame",
    [
        b"A\0",
        b"A\0\1\x95",
        b"A\0no event",
        b"A\0\1\x95\x01\x02\x03\x04\x05",
        b"A\0\1\x95\xa1\xff\x01\x00\x00\xc4\x00",  # a publisher that is not text
        b"A\0\x94\x01\x02\x03\x04",
        ready_topic("A", 7) + b"\0\x90",
        ready_topic("A", 7),
        ready_topic("A", 7) + b"\0\x95\xa1a\x01\xff\x00\xc4\x00",
    ],
)
def test_bytes_that_are_no_event_are_counted_and_said_once(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
    frame: bytes,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)

    publisher.socket.send(frame)
    publisher.socket.send(frame)
    publisher.publish("A", b"good")

    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert event.payload == b"good"
    assert subscriber.malformed_count == 2
    assert subscriber.event_count == 1
    assert caplog.text.count("ignoring malformed event frame") == 1


# Losses, duplicates, reordering


@BOTH_MODELS
def test_a_gap_is_counted_and_named(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    gaps: list[Gap] = []
    publisher = new_publisher("A")
    subscriber = connect(broker, model, publisher, new_subscriber, on_gap=gaps.append)
    for sequence in (0, 1, 5):
        publisher.publish("A", sequence=sequence)

    received = [subscriber.receive(WAIT_S) for _ in range(3)]

    assert [event and event.sequence for event in received] == [0, 1, 5]
    assert gaps == [Gap(session=publisher.session, topic="A", first=2, last=4)]
    assert subscriber.counts().lost == 3


def test_large_and_small_events_arrive_whole_and_gaps_among_them_are_counted(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    gaps: list[Gap] = []
    publisher = new_publisher("A", "B")
    subscriber = connect(
        broker,
        "decentralized",
        publisher,
        new_subscriber,
        "A",
        "B",
        on_gap=gaps.append,
    )
    sent: list[tuple[str, int, bytes]] = []
    for number, size in enumerate(
        [70_000] * 9 + [3, 70_000, 70_000, 5, 5, 4096, 70_000]
    ):
        topic = "AB"[number % 7 == 6]
        sequence = sum(each[0] == topic for each in sent) + (number > 10)
        sent.append((topic, sequence, os.urandom(size)))
        publisher.publish(topic, sent[-1][2], sequence=sequence)
    publisher.socket.send(b"A\0\1\x95" + bytes(70_000))  # large, and no event
    publisher.publish("A", b"end", sequence=sent[-1][1] + 1)

    received = [subscriber.receive(WAIT_S) for _ in range(len(sent) + 1)]

    assert [
        event and (event.topic, event.sequence, event.payload) for event in received
    ][:-1] == sent
    assert received[-1] is not None
    assert received[-1].payload == b"end"
    assert [(gap.topic, gap.count) for gap in gaps] == [("A", 1), ("B", 1)]
    assert subscriber.malformed_count == 1


def test_a_loss_of_the_very_first_events_after_the_answer_is_counted(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)

    publisher.publish("A", sequence=4)

    assert subscriber.receive(WAIT_S) is not None
    assert subscriber.counts().lost == 4


def test_a_duplicate_is_dropped_and_counted(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    for sequence in (0, 1, 1, 0, 2):
        publisher.publish("A", sequence=sequence)

    received = [subscriber.receive(WAIT_S) for _ in range(3)]

    assert [event and event.sequence for event in received] == [0, 1, 2]
    counts = subscriber.counts()
    assert (counts.received, counts.duplicated, counts.lost) == (3, 2, 0)


def test_a_late_event_is_delivered_and_no_longer_lost(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    for sequence in (0, 2, 1):
        publisher.publish("A", sequence=sequence)

    received = [subscriber.receive(WAIT_S) for _ in range(3)]

    assert [event and event.sequence for event in received] == [0, 2, 1]
    counts = subscriber.counts()
    assert (counts.received, counts.reordered, counts.lost) == (3, 1, 0)


def test_each_publisher_and_topic_has_its_own_numbers(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher("A", "B"), new_publisher("A", "B")
    broker.publishers = [first.info, second.info]
    subscriber = new_subscriber("A", "B")
    for publisher in (first, second):
        publisher.get_ready(2)
        for topic in "AABB":
            publisher.publish(topic)

    for _ in range(8):
        assert subscriber.receive(WAIT_S) is not None

    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (8, 0, 0)


# The ready handshake


@BOTH_MODELS
def test_waiting_ends_when_every_publisher_has_answered_for_every_topic(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    broker.model = model
    publisher = new_publisher("A", "B")
    broker.ports = {"A": publisher.port, "B": publisher.port}
    broker.publishers = [
        publisher.info if model == "decentralized" else publisher.hidden_info
    ]
    subscriber = new_subscriber("A", "B")
    asked = publisher.wait_for_ready(2)
    publisher.answer(*asked[0])

    with pytest.raises(NotReady, match="1 replies are missing"):
        subscriber.wait_until_ready(0.1)
    publisher.answer(*asked[1])

    subscriber.wait_until_ready(WAIT_S)
    subscriber.wait_until_ready(0)


def test_without_publishers_it_is_ready(new_subscriber: NewSubscriber) -> None:
    new_subscriber("A").wait_until_ready(0)


def test_a_publisher_that_dies_is_not_waited_for(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A")
    publisher.wait_for_ready()
    thread = in_thread(subscriber.wait_until_ready)

    broker.tell(left=[publisher.death])

    assert ended(thread)


def test_an_answer_before_the_brokers_word_counts(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """Centralized, a publisher hears of the subscriber as soon as it has joined."""
    publisher = new_publisher("A")
    subscriber = connect(broker, "centralized", publisher, new_subscriber)
    subscriber.wait_until_ready(WAIT_S)
    newcomer = RawPublisherBehind(publisher, session=2)

    newcomer.answer("A", subscriber.session)
    publisher.publish("A")
    assert subscriber.receive(WAIT_S) is not None
    broker.tell(joined=[newcomer.info])
    broker.tell(joined=[])

    wait_for(
        lambda: 2 in subscriber._runtime.core.streams._publishers, "the brokers word"
    )
    subscriber.wait_until_ready(0)


class RawPublisherBehind:
    """A publisher with frames that go through another's socket, like through a broker."""

    def __init__(self, forwarder: RawPublisher, session: int) -> None:
        self._forwarder = forwarder
        self._session = session
        self.info = forwarder.hidden_info.__class__(session=session, topics=["A"])

    def answer(self, topic: str, subscriber: int) -> None:
        before, self._forwarder.session = self._forwarder.session, self._session
        self._forwarder.answer(topic, subscriber)
        self._forwarder.session = before


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little may come while a program waits for something else, and that is looked at each time."""
    monkeypatch.setattr(fullness, "RECEIVED_AHEAD_BYTES", 100_000)
    monkeypatch.setattr(fullness, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(fullness, "_LARGEST_PART", float("inf"))


@pytest.mark.usefixtures("little_room")
def test_who_waits_for_answers_does_not_keep_all_that_comes_without_end(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
) -> None:
    first, second = new_publisher("A"), new_publisher("A")
    broker.publishers = [first.info, second.info]
    subscriber = new_subscriber("A")
    first.get_ready()
    asked = second.wait_for_ready()
    for _ in range(300):
        first.publish("A", b"x" * 1000)

    with pytest.raises(NotReady, match="must be received first"):
        subscriber.wait_until_ready(WAIT_S)

    received = [subscriber.receive(WAIT_S) for _ in range(300)]
    assert [event and event.sequence for event in received] == list(range(300))
    second.answer(*asked[0])
    subscriber.wait_until_ready(WAIT_S)


@pytest.mark.usefixtures("little_room")
def test_events_of_other_topics_do_not_wait_without_end(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
) -> None:
    publisher = new_publisher("A", "B")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A", "B")
    become_ready(subscriber, publisher)
    for _ in range(1000):
        publisher.publish("A", b"x" * 1000)
    publisher.publish("B")

    while not subscriber._runtime.receiver.is_full():
        assert subscriber.parse_publish_event("B") is None
    held = subscriber._runtime.receiver.buffered_count()
    for _ in range(100):
        assert subscriber.parse_publish_event("B") is None
    assert subscriber._runtime.receiver.buffered_count() == held < 1000

    received = [subscriber.receive(WAIT_S) for _ in range(1001)]
    assert [event.topic for event in received if event] == ["A"] * 1000 + ["B"]


def test_events_that_arrive_while_it_waits_are_kept_in_order(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher("A"), new_publisher("A")
    broker.publishers = [first.info, second.info]
    subscriber = new_subscriber("A")
    first.get_ready()
    for _ in range(5):
        first.publish("A")
    asked = second.wait_for_ready()
    with pytest.raises(NotReady):
        subscriber.wait_until_ready(0.1)

    second.answer(*asked[0])
    first.publish("A")
    subscriber.wait_until_ready(WAIT_S)

    received = [subscriber.receive(WAIT_S) for _ in range(6)]
    assert [event and event.sequence for event in received] == list(range(6))


@pytest.mark.parametrize("end", ["deadline", "stop"])
def test_a_flood_of_events_does_not_keep_the_wait_from_ending(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    noisy, mute = new_publisher("A"), new_publisher("A")
    broker.publishers = [noisy.info, mute.info]
    subscriber = new_subscriber("A")
    noisy.get_ready()
    flood(monkeypatch, subscriber, noisy)
    errors: list[Exception] = []

    def wait() -> None:
        try:
            subscriber.wait_until_ready(0.3 if end == "deadline" else None)
        except NotReady as error:
            errors.append(error)

    thread = in_thread(wait)
    if end == "stop":
        wait_for(subscriber._runtime.receiver.buffered_count, "an event")
        subscriber.stop()

    assert ended(thread)
    assert "replies are missing" in str(errors[0])


def flood(
    monkeypatch: pytest.MonkeyPatch, subscriber: Subscriber, publisher: RawPublisher
) -> None:
    """From here on there is always one more event, however fast they are taken."""
    numbers = itertools.count(publisher.next_sequence["A"])

    def receive(buffer: memoryview, *, flags: int = 0) -> int:
        place = (publisher.address, publisher.session)
        frame = encode_event("A", *place, next(numbers), 0, b"")
        buffer[: len(frame)] = frame
        return len(frame)

    for sub_socket in subscriber._runtime.performer.sockets.open:
        monkeypatch.setattr(sub_socket, "receive_into", receive)


def test_a_missing_answer_is_asked_for_again(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """It may have been dropped where a queue was full."""
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A")
    publisher.wait_for_ready()  # and do not answer
    thread = in_thread(subscriber.wait_until_ready)

    publisher.get_ready()

    assert ended(thread)


def test_a_missing_answer_is_asked_for_again_though_nobody_waits_for_it(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """Nor receives anything. By another question each time."""
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A")
    asked: list[int] = []
    while len(asked) < 3:
        begins, raw = publisher.next_subscription()
        question = parse_ready_request(raw)
        if begins and question is not None:
            asked.append(question.attempt)
    assert asked == [0, 1, 2]

    publisher.answer("A", subscriber.session)
    publisher.publish("A", b"after it")
    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert event.payload == b"after it"


def test_nobody_is_asked_again_while_what_has_come_is_not_received(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """The answers may be there; more of them would take the place of events."""
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A")
    publisher.wait_for_ready()
    publisher.publish("A", b"waits")
    performer = subscriber._runtime.performer
    [sub_socket] = performer.sockets.open
    wait_for(lambda: not sub_socket.attended, "the event", WAIT_S)

    def asks(*, looked: bool) -> bool:
        performer.repetition.at = 0.0  # the control thread may be first, and put it off
        return performer.ask_again(looked=looked)

    wait_for(lambda: asks(looked=False), "it sees that something waits", WAIT_S)
    assert sub_socket.subscriptions.ready_requests["A"].attempt == 0

    def repeated() -> bool:
        asks(looked=True)
        return sub_socket.subscriptions.ready_requests["A"].attempt == 1

    wait_for(repeated, "it has asked again", WAIT_S)


def test_after_another_broker_has_taken_over_everybody_must_answer_again(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """Centralized, events then take another route."""
    old, new = new_publisher("A"), new_publisher("A", session=1)
    subscriber = connect(broker, "centralized", old, new_subscriber)
    subscriber.wait_until_ready(WAIT_S)

    broker.ports = {"A": new.port}
    broker.restart()

    asked = new.wait_for_ready()
    wait_for(subscriber._runtime.performer.awaited_replies, "the broker's word")
    with pytest.raises(NotReady, match="1 replies are missing"):
        subscriber.wait_until_ready(0.05)
    new.answer(*asked[0])
    subscriber.wait_until_ready(WAIT_S)


def test_another_broker_changes_nothing_between_publisher_and_subscriber(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """Decentralized, events do not pass through the broker."""
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    subscriber.wait_until_ready(WAIT_S)

    broker.publishers = []  # the publisher has not registered again yet
    broker.restart()
    publisher.publish("A")
    assert subscriber.receive(WAIT_S) is not None
    broker.tell(joined=[publisher.info])
    publisher.publish("A")

    assert subscriber.receive(WAIT_S) is not None
    subscriber.wait_until_ready(0)
    counts = subscriber.counts()
    assert (counts.received, counts.lost) == (2, 0)


# Departures


def test_it_disconnects_from_a_publisher_all_of_whose_events_have_arrived(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    publisher.publish("A")
    broker.tell(left=[publisher.departure])
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))

    publisher.wait_until_gone()

    subscriber.stop()
    assert ended(thread)
    assert len(received) == 1
    assert subscriber.counts().lost == 0


@BOTH_MODELS
def test_events_lost_at_the_end_of_a_publisher_are_counted_and_named(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    gaps: list[Gap] = []
    publisher = new_publisher("A")
    subscriber = connect(broker, model, publisher, new_subscriber, on_gap=gaps.append)
    subscriber._runtime.core.streams.departures.grace_s = 0.05
    publisher.publish("A")
    publisher.next_sequence["A"] = 5  # four more that get lost on the way
    broker.tell(left=[publisher.departure])
    thread = in_thread(lambda: list(subscriber))

    wait_for(lambda: gaps, "the gap")

    subscriber.stop()
    assert ended(thread)
    assert gaps == [Gap(session=publisher.session, topic="A", first=1, last=4)]
    assert subscriber.counts().lost == 4


def test_a_backlog_outlives_the_publisher_it_came_from(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    # Not 0: a fast receiver sees its socket empty while the rest is on the way.
    subscriber._runtime.core.streams.departures.grace_s = 0.5
    for _ in range(1000):
        publisher.publish("A", bytes(1000))
    broker.tell(left=[publisher.departure])
    wait_for(lambda: subscriber._runtime.core.streams.departures._departing, "the news")
    deadline = subscriber._runtime.core.streams.departures.next_deadline()
    assert deadline is not None
    wait_for(lambda: time.monotonic() > deadline, "the end of the settling time")

    received = [subscriber.receive(WAIT_S) for _ in range(1000)]

    assert [event and event.sequence for event in received] == list(range(1000))
    assert subscriber.counts().lost == 0


@pytest.mark.parametrize(
    "address", ["a\x1b[31mb:5000", "a.example:x", "127.0.0.1:99999", "[fe80::1]:5", ""]
)
def test_an_address_that_is_none_is_told_of_and_others_are_connected_to(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
    address: str,
) -> None:
    publisher = new_publisher("A")
    strange = PublisherInfo(session=77, topics=["A"], address=address)
    broker.publishers = [strange, publisher.info]
    subscriber = new_subscriber("A", attach_timeout_s=0)
    publisher.get_ready(1)
    publisher.publish("A", b"x")

    event = subscriber.receive(30)
    assert event is not None
    assert event.payload == b"x"
    assert "cannot connect to a publisher" in caplog.text
    assert "\x1b" not in caplog.text


def test_it_stays_connected_to_an_address_that_another_publisher_has_taken_over(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    first = new_publisher("A")
    subscriber = connect(broker, "decentralized", first, new_subscriber)
    first.close()
    second = new_publisher("A", port=first.port)
    broker.tell(left=[first.departure], joined=[second.info])
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))

    second.get_ready()
    second.publish("A")

    wait_for(lambda: received, "an event")
    subscriber.stop()
    assert ended(thread)
    assert received[0].session == second.session


def test_a_take_over_while_it_disconnects_from_the_predecessor_loses_nothing(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's thread disconnects while the control thread hears of the successor:
    whichever comes first, the connection must be there in the end."""
    first = new_publisher("A")
    subscriber = connect(broker, "decentralized", first, new_subscriber)
    first.close()
    second = new_publisher("A", port=first.port)
    disconnect = SubSocket.disconnect
    told = threading.Event()

    def slow_disconnect(sub_socket: SubSocket, address: str) -> bool:
        broker.tell(joined=[second.info])
        # Until the control thread has connected, or waits for us to be done.
        told.wait(0.2)
        return disconnect(sub_socket, address)

    def connected(connections: DirectConnections, publisher: PublisherInfo) -> bool:
        arrived = connect_to(connections, publisher)
        told.set()
        return arrived

    connect_to = DirectConnections.connect
    monkeypatch.setattr(SubSocket, "disconnect", slow_disconnect)
    monkeypatch.setattr(DirectConnections, "connect", connected)
    broker.tell(left=[first.departure])
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))

    wait_for(told.is_set, "the news")

    def publish_until_received() -> bool:
        second.publish("A")
        return bool(received)

    wait_for(publish_until_received, "an event")
    subscriber.stop()
    assert ended(thread)


def test_an_event_that_comes_while_it_disconnects_from_another_publisher_is_seen(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Disconnecting may swallow the wake-up that tells of the event."""
    leaving, staying = new_publisher("A"), new_publisher("A")
    broker.publishers = [leaving.info, staying.info]
    subscriber = new_subscriber("A")
    for publisher in (leaving, staying):
        publisher.get_ready()
    subscriber.wait_until_ready(WAIT_S)
    disconnect = SubSocket.disconnect

    def slow_disconnect(sub_socket: SubSocket, address: str) -> bool:
        staying.publish("A")
        with sub_socket.lock:
            assert sub_socket.socket.poll(30_000)
        return disconnect(sub_socket, address)

    monkeypatch.setattr(SubSocket, "disconnect", slow_disconnect)
    broker.tell(left=[leaving.departure])
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))

    wait_for(lambda: received, "the event")
    subscriber.stop()
    assert ended(thread)


def test_the_grace_time_is_at_least_the_brokers_lease(
    broker: FakeBroker, new_subscriber: NewSubscriber
) -> None:
    broker.lease_s = 60.0
    assert new_subscriber("A")._runtime.core.streams.departures.grace_s == 60.0

    broker.lease_s = 1.0
    assert new_subscriber("A")._runtime.core.streams.departures.grace_s == 6.0


# The end


@BOTH_MODELS
def test_stop_ends_an_indefinite_subscriber(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, model, publisher, new_subscriber)
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))
    publisher.publish("A")
    wait_for(lambda: received, "the event")

    subscriber.stop()

    assert ended(thread)
    assert subscriber.receive() is None


def test_what_has_arrived_before_stop_is_delivered(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    for _ in range(1000):
        publisher.publish("A")
    publisher.publish("A", b"last")
    wait_for(lambda: waiting(subscriber, b"last"), "the last one")

    subscriber.stop()

    assert [event.sequence for event in subscriber] == list(range(1001))


def waiting(subscriber: Subscriber, payload: bytes) -> bool:
    """Whether an event with this payload waits in the subscriber's queue."""
    subscriber._runtime.receiver.fetch()
    buffered = subscriber._runtime.receiver.queue._buffered
    return (
        bool(buffered)
        and isinstance(buffered[-1], Event)
        and buffered[-1].payload == payload
    )


@BOTH_MODELS
def test_a_flood_of_events_does_not_keep_stop_from_ending_it(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
    model: Model,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, model, publisher, new_subscriber)
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))
    flood(monkeypatch, subscriber, publisher)

    def flooded() -> bool:
        # Wakes it. Again, because it may just have looked at the socket in the old way.
        publisher.publish("A")
        return len(received) > 1000

    wait_for(flooded, "the flood")

    subscriber.stop()

    assert ended(thread)


def test_leaving_tells_the_broker_and_the_publishers(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)

    subscriber.disconnect()

    (farewell,) = broker.farewells()
    assert farewell.session == subscriber.session
    publisher.wait_until_gone()


def test_a_broker_that_does_not_answer_does_not_keep_it_from_leaving(
    broker: FakeBroker, new_subscriber: NewSubscriber
) -> None:
    subscriber = new_subscriber("A")
    broker.silent = True

    assert ended(in_thread(subscriber.disconnect))
    assert broker.farewells()


# notify and the file


def rows(file: Path) -> list[list[str]]:
    header, *lines = file.read_text().splitlines()
    assert header == ",".join(HEADER)
    return [line.split(",") for line in lines]


@BOTH_MODELS
def test_notify_writes_the_latencies_in_order_of_receipt(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
    tmp_path: Path,
) -> None:
    file = tmp_path / "latencies.csv"
    publisher = new_publisher("A", "B")
    seen: list[Event] = []
    subscriber = connect(
        broker,
        model,
        publisher,
        new_subscriber,
        "A",
        "B",
        max_event_count=4,
        filename=str(file),
        on_event=seen.append,
    )
    for topic in "ABBA":
        publisher.publish(topic)

    subscriber.notify()

    assert rows(file) == [
        [publisher.address, event.topic, f"{event.latency_ns / 1e9:.9f}"]
        for event in seen
    ]
    assert [event.topic for event in seen] == list("ABBA")
    assert subscriber.latencies.count == 4


def test_notify_writes_what_there_is_when_it_is_stopped(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    tmp_path: Path,
) -> None:
    file = tmp_path / "latencies.csv"
    publisher = new_publisher("A")
    subscriber = connect(
        broker,
        "decentralized",
        publisher,
        new_subscriber,
        max_event_count=1000,
        filename=str(file),
    )
    thread = in_thread(subscriber.notify)
    for _ in range(3):
        publisher.publish("A")
    wait_for(lambda: subscriber.event_count == 3, "three events")
    assert not file.exists()

    subscriber.stop()

    assert ended(thread)
    assert len(rows(file)) == 3


def test_notify_writes_what_there_is_when_the_callback_fails(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    tmp_path: Path,
) -> None:
    def fail(event: Event) -> None:
        if event.sequence == 2:
            raise RuntimeError("enough")

    file = tmp_path / "latencies.csv"
    publisher = new_publisher("A")
    subscriber = connect(
        broker,
        "decentralized",
        publisher,
        new_subscriber,
        max_event_count=1000,
        filename=str(file),
        on_event=fail,
    )
    for _ in range(5):
        publisher.publish("A")

    with pytest.raises(RuntimeError, match="enough"):
        subscriber.notify()

    assert len(rows(file)) == 3


def test_without_a_file_notify_counts_latencies_and_writes_nothing(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    publisher = new_publisher("A")
    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, max_event_count=2
    )
    publisher.publish("A")
    publisher.publish("A")

    subscriber.notify()

    assert subscriber.latencies.count == 2
    assert not list(tmp_path.iterdir())


# Registering again


@BOTH_MODELS
def test_it_registers_again_under_its_session_when_the_broker_has_restarted(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, model, publisher, new_subscriber)

    broker.restart()
    publisher.publish("A")

    assert broker.of(Register)[1].session == subscriber.session
    assert subscriber.receive(WAIT_S) is not None
    assert subscriber.counts().lost == 0


def test_centralized_it_moves_to_the_new_port_and_keeps_what_the_old_one_sent(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    old, new = new_publisher("A"), new_publisher("A", session=1)
    subscriber = connect(broker, "centralized", old, new_subscriber)
    for _ in range(300):
        old.publish("A")
    wait_for(lambda: readable(subscriber), "the old ones")

    broker.ports = {"A": new.port}
    broker.restart()
    new.next_sequence = dict(old.next_sequence)
    new.get_ready()
    for _ in range(300):
        new.publish("A")

    received = [subscriber.receive(WAIT_S) for _ in range(600)]
    assert [event and event.sequence for event in received] == list(range(600))
    counts = subscriber.counts()
    assert (counts.lost, counts.duplicated, counts.reordered) == (0, 0, 0)
    old.wait_until_gone()


def readable(subscriber: Subscriber) -> bool:
    """Whether 300 events have arrived, which then are in the subscriber's queue."""
    subscriber._runtime.receiver.fetch()
    return subscriber._runtime.receiver.buffered_count() >= 300


def test_a_receiver_that_waits_is_moved_to_the_new_port(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    old, new = new_publisher("A"), new_publisher("A")
    subscriber = connect(broker, "centralized", old, new_subscriber)
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))
    old.publish("A")
    wait_for(lambda: received, "the first event")

    broker.ports = {"A": new.port}
    broker.restart()
    new.get_ready()
    new.publish("A")

    wait_for(lambda: len(received) == 2, "an event through the new port")
    subscriber.stop()
    assert ended(thread)


@pytest.mark.parametrize("waiting", ["receive", "wait_until_ready"])
def test_a_broker_that_refuses_it_later_ends_its_receiving(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    waiting: str,
) -> None:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]
    subscriber = new_subscriber("A")
    errors: list[Exception] = []

    def wait() -> None:
        try:
            getattr(subscriber, waiting)()
        except RegistrationRefused as error:
            errors.append(error)

    thread = in_thread(wait)
    broker.refusal = ("wrong_model", "not any more")
    broker.restart()

    assert ended(thread)
    assert "not any more" in str(errors[0])


def test_a_wait_that_a_refusal_ends_raises_the_reason(
    broker: FakeBroker, new_subscriber: NewSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it goes back to sleep, and nobody wakes it again."""
    subscriber = new_subscriber("A")
    found: list[object] = []
    waker = subscriber._runtime.receiver.waker
    assert waker is not None
    wake = waker.wake

    def look() -> None:
        assert subscriber._runtime.control is not None
        found.append(subscriber._runtime.control.error)
        wake()

    monkeypatch.setattr(waker, "wake", look)
    broker.refusal = ("wrong_model", "not any more")
    broker.restart()
    wait_for(lambda: found, "a wake-up")

    assert isinstance(found[0], RegistrationRefused)


def test_a_missed_push_is_made_up_for(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    broker.lease_s = 3.0  # it is silent for less, however busy the machine is
    new_subscriber("A")

    broker._revision += 1  # a push that was lost on the way
    broker.publishers = [publisher.info]

    publisher.wait_for_ready()
    assert broker.of(Heartbeat)


def test_an_unknown_session_registers_again(
    broker: FakeBroker, new_subscriber: NewSubscriber
) -> None:
    subscriber = new_subscriber("A")

    broker.send(Error(id=-1, code="unknown_session", detail="unknown session"))

    wait_for(lambda: len(broker.of(Register)) == 2, "another registration")
    assert broker.of(Register)[1].session == subscriber.session


# Wake-ups


def test_no_event_is_overlooked_while_publishers_come_and_go(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """The control thread connects the socket for which the receiving thread waits,
    and may swallow the news of an event. After each event nothing else happens."""
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    received: list[Event] = []
    thread = in_thread(lambda: received.extend(subscriber))

    for count in range(1, 201):
        other = publisher.info.__class__(
            session=1000 + count, topics=["A"], address=f"127.0.0.1:{count}"
        )
        broker.tell(joined=[other])
        publisher.publish("A")
        wait_for(lambda: len(received) == count, f"event {count}")  # noqa: B023
        broker.tell(left=[publisher.departure.__class__(session=1000 + count)])

    subscriber.stop()
    assert ended(thread)


def test_log_tells_of_a_gap_at_info(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    publisher.publish("A", sequence=3)

    with caplog.at_level(logging.INFO):
        subscriber.receive(WAIT_S)

    assert "lost 3 events of A (0 to 2)" in caplog.text


# Publishers


@BOTH_MODELS
def test_the_user_is_told_of_publishers_that_join_and_leave(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    told: list[tuple[int, bool]] = []
    first, second = new_publisher("A"), new_publisher("A")
    connect(
        broker,
        model,
        first,
        new_subscriber,
        on_publisher=lambda info, joined: told.append((info.session, joined)),
    )
    broker.tell(joined=[second.info])
    broker.tell(left=[first.departure])
    wait_for(lambda: len(told) == 3, "three changes")
    broker.publishers = [first.info]
    broker.restart()
    wait_for(lambda: len(told) == 5, "two more changes")

    assert told[:3] == [
        (first.session, True),
        (second.session, True),
        (first.session, False),
    ]
    assert sorted(told[3:]) == [(first.session, True), (second.session, False)]


@BOTH_MODELS
def test_on_publisher_may_ask_for_the_counts(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    told: list[Counts] = []
    publisher = new_publisher("A")
    asked: list[Subscriber] = []
    subscriber = connect(
        broker,
        model,
        publisher,
        new_subscriber,
        on_publisher=lambda *_: told.extend(each.counts() for each in asked),
    )

    asked.append(subscriber)
    broker.tell(left=[publisher.departure])
    wait_for(lambda: told, "word of the departure")
    broker.restart()  # it has the publisher in its list again
    wait_for(lambda: len(told) == 2, "word of its return")

    assert told[0].received == 0


def test_an_error_in_a_callback_is_raised(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    def complain(_info: object, _joined: bool) -> None:
        raise ZeroDivisionError("of the user")

    subscriber = new_subscriber("A", on_publisher=complain)
    broker.tell(joined=[new_publisher("A").info])

    with pytest.raises(PubSubError, match="of the user"):
        subscriber.receive(WAIT_S)


# Owners


@BOTH_MODELS
def test_after_the_brokers_restart_a_topic_has_the_owner_that_it_had(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    """Though its next one was the first to be back."""
    publisher = new_publisher("A")
    where = None if model == "centralized" else publisher.address
    strong, weak = (
        PublisherInfo(session=s, topics=["A"], address=where, strengths={"A": 10 - s})
        for s in (1, 2)
    )
    broker.model, broker.ports = model, {"A": publisher.port}
    broker.publishers = [strong, weak]
    subscriber = new_subscriber("A")
    publisher.get_ready()

    def publish(number: int) -> None:
        for session in (1, 2):
            frame = encode_event("A", publisher.address, session, number, 0, b"")
            publisher.socket.send(frame)

    publish(0)
    assert_next(subscriber, 1, 0)
    broker.publishers = [weak]
    broker.restart()
    wait_for(
        lambda: 1 in subscriber._runtime.core.streams.departures,
        "the new broker's list",
    )
    publish(1)
    broker.tell(joined=[strong])
    publish(2)

    assert_next(subscriber, 1, 1)
    assert_next(subscriber, 1, 2)


def assert_next(subscriber: Subscriber, session: int, number: int) -> None:
    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert (event.session, event.sequence) == (session, number)


# Wildcards


@BOTH_MODELS
def test_topics_that_a_wildcard_stands_for_are_received_as_they_appear(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    model: Model,
) -> None:
    broker.model = model
    publisher = new_publisher("a/x", "a/y")
    before = PublisherInfo(session=1, topics=["a/x"], address=publisher.address)
    after = PublisherInfo(session=1, topics=["a/x", "a/y"], address=publisher.address)
    broker.publishers, broker.ports = [before], {"a/x": publisher.port}

    subscriber = new_subscriber("a/+")
    publisher.get_ready()
    subscriber.wait_until_ready(WAIT_S)
    publisher.publish("a/x", b"1")
    broker.send(
        PublishersChanged(revision=1, joined=[after], ports={"a/y": publisher.port})
    )
    publisher.get_ready()
    publisher.publish("a/y", b"2")

    received = [subscriber.receive(WAIT_S) for _ in range(2)]
    assert [event and (event.topic, event.payload) for event in received] == [
        ("a/x", b"1"),
        ("a/y", b"2"),
    ]


def test_with_several_ports_the_count_of_topics_never_falls(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """Publishers wait for so many ready topics, and do not see which port they are of."""
    first, second = new_publisher("a/x"), new_publisher("a/y")
    broker.model = "centralized"
    broker.publishers = [PublisherInfo(session=1, topics=["a/x", "a/y"])]
    broker.ports = {"a/x": first.port, "a/y": second.port}
    subscriber = new_subscriber("a/+")

    def next_question(port: RawPublisher) -> tuple[str, int]:
        while (question := parse_ready_request(port.next_subscription()[1])) is None:
            pass
        return question.topic, question.topics

    assert next_question(first) == ("a/x", 2)
    assert next_question(second) == ("a/y", 2)
    for port, topic in ((first, "a/x"), (second, "a/y")):
        port.socket.send(encode_ready_reply(topic, subscriber.session, "p", 1, 0, 2))
    broker.tell(left=[Departure(session=1, next_sequences={"a/x": 0, "a/y": 0})])
    wait_for(
        lambda: (
            subscriber.receive(0.01) is None
            and subscriber._runtime.core.streams.publisher(1) is None
        ),
        "the end of the publisher",
    )
    joined = [PublisherInfo(session=2, topics=["a/z"])]
    broker.send(PublishersChanged(revision=2, joined=joined, ports={"a/z": first.port}))

    assert next_question(first) == ("a/z", 3)


def test_when_nobody_is_there_for_a_moment_the_connection_to_the_broker_stays(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    """All leases ended, and this subscriber was the first to register again."""
    forwarder = new_publisher("a/x")
    broker.model = "centralized"
    broker.publishers = [forwarder.hidden_info]
    broker.ports = {"a/x": forwarder.port}
    subscriber = new_subscriber("a/+")
    forwarder.get_ready()
    subscriber.wait_until_ready(WAIT_S)

    broker.publishers, broker.ports = [], {}
    broker.send(PublishersChanged(revision=99))  # so one was missed
    wait_for(lambda: len(broker.of(Register)) == 2, "another registration")
    joined = [PublisherInfo(session=2, topics=["a/z"])]
    ports: dict[str, TopicPort] = {"a/z": forwarder.port}
    broker.send(PublishersChanged(revision=1, joined=joined, ports=ports))

    heard = [forwarder.next_subscription() for _ in range(2)]
    # Not (a/z, 2), for which publishers would wait until there are two.
    assert heard == [(True, b"a/z\0"), (True, ready_topic("a/z", subscriber.session))]
    assert subscriber._runtime.performer.sockets.open_keys() == {
        f"127.0.0.1:{forwarder.port}"
    }


def test_a_topic_that_nobody_publishes_any_more_is_given_up(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    stays, leaves = new_publisher("a/x", "b"), new_publisher("a/x", "a/y", "b")
    broker.publishers = [stays.info, leaves.info]
    subscriber = new_subscriber("a/#", "b")
    for publisher in (stays, leaves):
        publisher.get_ready(3)
    subscriber.wait_until_ready(WAIT_S)

    broker.tell(left=[leaves.departure])
    thread = in_thread(lambda: subscriber.receive(WAIT_S))
    given_up: set[bytes] = set()
    while len(given_up) < 2:
        begins, topic = stays.next_subscription()
        if not begins:
            given_up.add(topic)
    stays.publish("b", b"end")

    assert given_up == {b"a/y\0", ready_topic("a/y", subscriber.session)}
    assert ended(thread)
    assert sorted(subscriber._runtime.core.topics.by_event.values()) == ["a/x", "b"]

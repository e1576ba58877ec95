"""The user's own payloads, and topics that come and go while the publisher runs."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.fake_broker import FakeBroker
from support.raw_sockets import RawSubscriber

from pubsub_common.errors import (
    BrokerUnreachable,
    ConfigError,
    NotReady,
    RegistrationRefused,
)
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_publisher import Publisher

NewPublisher = Callable[..., Publisher]
Subscribe = Callable[..., RawSubscriber]


@pytest.fixture
def publisher(broker: FakeBroker) -> Iterator[Publisher]:
    with Publisher(
        "127.0.0.1",
        ["A"],
        bind_port=0,
        broker_port=broker.port,
        connect_timeout_s=WAIT_S,
        history=10,
    ) as publisher:
        yield publisher


@pytest.fixture
def subscriber(publisher: Publisher, subscribe: Subscribe) -> RawSubscriber:
    subscriber = subscribe(publisher, "A", "B", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    return subscriber


@dataclasses.dataclass
class Reading:
    sensor: str
    value: float


def test_text_is_sent_as_utf_8(publisher: Publisher, subscriber: RawSubscriber) -> None:
    publisher.publish_event("A", "température")

    assert subscriber.next_event().payload == "température".encode()


def test_values_are_sent_as_json(
    publisher: Publisher, subscriber: RawSubscriber
) -> None:
    publisher.publish_json("A", {"a": [1, None, "é"]})
    publisher.publish_json("A", Reading("t1", 20.5))

    received = [json.loads(subscriber.next_event().payload) for _ in range(2)]
    assert received == [{"a": [1, None, "é"]}, {"sensor": "t1", "value": 20.5}]


def test_a_payload_that_json_cannot_hold_is_refused(publisher: Publisher) -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        publisher.publish_json("A", object())


def test_a_topic_that_is_added_is_registered_and_published(
    broker: FakeBroker, publisher: Publisher, subscriber: RawSubscriber
) -> None:
    publisher.add_topics(["B"], strengths=3)

    [first, second] = broker.of(Register)
    assert (first.topics, second.topics) == (["A"], ["A", "B"])
    assert second.session == publisher.session
    assert second.strengths == {"B": 3}
    publisher.publish_event("B", b"x")
    event = subscriber.next_event()
    assert (event.topic, event.sequence) == ("B", 0)


def test_a_topic_that_comes_back_goes_on_with_its_numbers(
    broker: FakeBroker, publisher: Publisher, subscriber: RawSubscriber
) -> None:
    publisher.add_topics(["B"])
    publisher.publish_event("B", b"x")
    publisher.remove_topics(["B"])

    assert broker.of(Register)[-1].topics == ["A"]
    publisher.publish_event("B", b"z")
    assert broker.of(Register)[-1].topics == ["A", "B"]
    assert [subscriber.next_event().sequence for _ in range(2)] == [0, 1]


def test_all_topics_that_there_were_are_in_the_farewell(
    broker: FakeBroker, publisher: Publisher
) -> None:
    publisher.add_topics(["B"])
    publisher.publish_event("B", b"x")
    publisher.remove_topics(["A"])
    publisher.disconnect()

    assert broker.farewells()[0].next_sequences == {"A": 0, "B": 1}


def test_generated_events_go_through_the_topics_that_there_are(
    publisher: Publisher, subscriber: RawSubscriber
) -> None:
    publisher.add_topics(["B"])
    publisher.max_event_count, publisher.sleep_period = 4, 0.0
    publisher.publish()

    assert [subscriber.next_event().topic for _ in range(4)] == ["A", "B", "A", "B"]


@pytest.mark.parametrize(
    ("topics", "match"),
    [(["a\0"], "control character"), (["a/#"], "for subscriptions")],
)
def test_a_bad_topic_is_refused_and_nothing_has_changed(
    broker: FakeBroker, publisher: Publisher, topics: list[str], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        publisher.add_topics(topics)

    assert publisher.topics == ("A",)
    assert len(broker.of(Register)) == 1


def test_all_topics_may_leave(broker: FakeBroker, publisher: Publisher) -> None:
    publisher.remove_topics(["A"])

    assert broker.of(Register)[-1].topics == []
    with pytest.raises(ConfigError, match="generated events need at least one topic"):
        publisher.publish()
    with pytest.raises(ConfigError, match="has 0 topics, so name one"):
        publisher.publish_events([b"x"])
    publisher.publish_event("A", b"back")
    assert broker.of(Register)[-1].topics == ["A"]


def test_the_last_declared_topic_stays(new_publisher: NewPublisher) -> None:
    publisher = new_publisher("A", declared_only=True)

    with pytest.raises(ConfigError, match="at least one topic"):
        publisher.remove_topics(["A"])

    publisher.publish_event("A", b"still")


def test_a_topic_that_is_not_declared_is_added_for_its_first_event(
    broker: FakeBroker, new_publisher: NewPublisher, subscribe: Subscribe
) -> None:
    publisher = new_publisher("A", strengths=4)
    subscriber = subscribe(publisher, "A", "B", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)

    publisher.publish_event("B", "text")

    assert publisher.topics == ("A", "B")
    assert broker.of(Register)[-1].topics == ["A", "B"]
    assert broker.of(Register)[-1].strengths == {"A": 4, "B": 4}
    assert subscriber.next_event().payload == b"text"


def test_an_event_that_cannot_be_adds_no_topic(
    broker: FakeBroker, publisher: Publisher
) -> None:
    payload: Any = 7
    with pytest.raises(ConfigError, match="the payload is bytes or text"):
        publisher.publish_event("B", payload)
    with pytest.raises(ConfigError, match="for subscriptions"):
        publisher.publish_event("B/#", b"")

    assert len(broker.of(Register)) == 1


def test_an_unknown_topic_cannot_leave(publisher: Publisher) -> None:
    with pytest.raises(ConfigError, match="'C' is not one of"):
        publisher.remove_topics(["C"])


def test_a_broker_that_will_not_have_it_says_why(
    broker: FakeBroker, publisher: Publisher
) -> None:
    broker.refusal = (messages.TOO_MANY, "enough")

    with pytest.raises(RegistrationRefused, match="enough"):
        publisher.add_topics(["B"])


def test_a_broker_that_does_not_answer_is_named(
    broker: FakeBroker, publisher: Publisher
) -> None:
    broker.silent = True
    config = dataclasses.replace(publisher._runtime.config, connect_timeout_s=0.2)
    publisher._runtime.config = config

    with pytest.raises(BrokerUnreachable):
        publisher.add_topics(["B"])

    publisher.publish_event("B", b"x")  # it will be told when it answers


@pytest.mark.parametrize("whole", [False, True])
def test_threads_wait_for_a_topic_that_another_thread_adds(
    broker: FakeBroker, publisher: Publisher, subscribe: Subscribe, whole: bool
) -> None:
    """Otherwise the subscribers that the broker is about to name lack their events."""

    def publish() -> None:
        if whole:
            publisher.publish_events([("B", b"x")])
        else:
            publisher.publish_event("B", b"x")

    subscriber = subscribe(publisher, "A", "B", session=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    broker.ignored = (Register,)
    threads = [threading.Thread(target=publish) for _ in range(3)]
    threads[0].start()
    wait_for(lambda: "B" in publisher.topics)
    for thread in threads[1:]:
        thread.start()
    wait_for(lambda: len(broker.of(Register)) > 1)
    assert publisher._runtime.topics.states["B"].next_sequence == 0

    broker.ignored = ()
    for thread in threads:
        thread.join(WAIT_S)
    assert [subscriber.next_event().sequence for _ in range(3)] == [0, 1, 2]


def test_stop_ends_the_wait_for_a_new_topic(
    broker: FakeBroker, publisher: Publisher
) -> None:
    broker.silent = True
    threading.Timer(0.1, publisher.stop).start()

    with pytest.raises(NotReady, match="stopped before the broker answered"):
        publisher.publish_event("B", b"x")


def test_generated_events_wait_for_a_topic_that_another_thread_adds(
    broker: FakeBroker, publisher: Publisher
) -> None:
    broker.ignored = (Register,)
    adding = threading.Thread(target=publisher.add_topics, args=(["B"],))
    adding.start()
    wait_for(lambda: "B" in publisher.topics)
    publisher.max_event_count, publisher.sleep_period = 4, 0.0
    threading.Timer(0.1, setattr, (broker, "ignored", ())).start()

    assert publisher.publish() == 4
    adding.join(WAIT_S)


def test_a_clock_that_is_set_back_does_not_stop_generated_events(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_ns = 0

    def clock(_name: str) -> Callable[[], int]:
        return lambda: time.time_ns() - back_ns

    def set_back(_topic: str, _number: int, _due_ns: int, _sent_ns: int) -> None:
        nonlocal back_ns
        back_ns += 3600 * 10**9

    monkeypatch.setattr("pubsub_publisher.runtime.clock_ns", clock)
    with Publisher(
        topics=["A"],
        max_event_count=3,
        sleep_period=0.01,
        bind_port=0,
        broker_port=broker.port,
        on_sent=set_back,
    ) as publisher:
        # If it waited for the clock, this test would run into its time limit.
        assert publisher.publish() == 3

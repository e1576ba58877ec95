"""A publisher and a subscriber together, in both shells: for threads and for asyncio."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest
from support.life_program import in_time
from support.threads import ended, in_thread

from pubsub_common.errors import ConfigError, NotReady, PubSubError
from pubsub_common.protocol.sequence import Gap
from pubsub_common.testing import WAIT_S, wait_for

from .conftest import Life


def received(subscriber: Any, count: int) -> list[bytes]:
    """The payloads of the next events."""
    events = [subscriber.receive(10) for _ in range(count)]
    return [event.payload for event in events]


def test_events_of_all_kinds_arrive_in_order(life: Life) -> None:
    publisher, subscriber = life.both()
    publisher.publish_event("a", b"bytes")
    publisher.publish_event("a", "text ü")
    publisher.publish_event("a", bytearray(b"bytearray"))
    publisher.publish_event("a", memoryview(b"memoryview"))
    publisher.publish_json("a", {"value": [1, None]})
    assert publisher.publish_events([b"1", b"2"], "a") == 2
    assert publisher.publish_events([("a", b"3")]) == 1
    assert received(subscriber, 8) == [
        b"bytes",
        "text ü".encode(),
        b"bytearray",
        b"memoryview",
        b'{"value":[1,null]}',
        b"1",
        b"2",
        b"3",
    ]
    assert subscriber.receive(0) is None
    assert subscriber.receive(0.01) is None
    counts = subscriber.counts()
    assert (counts.received, counts.lost, counts.duplicated) == (8, 0, 0)
    assert subscriber.event_count == 8


def test_iteration_and_batches_take_turns(life: Life) -> None:
    publisher, subscriber = life.both()
    got: list[bytes] = []
    for turn in range(10):
        publisher.publish_events([b"%d" % (10 * turn + n) for n in range(10)], "a")
        taken = 0
        if turn % 2:
            for event in subscriber:
                got.append(event.payload)
                taken += 1
                if taken == 10:
                    break
        else:
            for batch in subscriber.batches():
                got += batch.payloads
                taken += len(batch)
                if taken == 10:
                    break
    assert got == [b"%d" % number for number in range(100)]


def test_a_limit_holds_in_all_calls(life: Life) -> None:
    publisher = life.publisher(max_event_count=7, sleep_period=0.001)
    subscriber = life.subscriber(max_event_count=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_events([b"x"] * 9, "a")
    assert received(subscriber, 3) == [b"x"] * 3
    assert len(list(subscriber)) == 2
    assert subscriber.receive(5) is None
    assert list(subscriber) == []


def test_no_limit_is_no_limit(life: Life) -> None:
    publisher, subscriber = life.both()
    publisher.publish_events([b"x"] * 100, "a")
    assert len(list(itertools.islice(iter(subscriber), 100))) == 100


def test_topics_come_and_go(life: Life) -> None:
    publisher = life.publisher("a")
    subscriber = life.subscriber("a", "n/#")
    publisher.add_topics(["n/1", "n/2"], strengths={"n/1": 5})
    assert set(publisher.topics) == {"a", "n/1", "n/2"}
    assert publisher.strengths == {"n/1": 5}
    publisher.remove_topics(["n/2"])
    assert set(publisher.topics) == {"a", "n/1"}
    with pytest.raises(ConfigError):
        publisher.remove_topics(["n/2"])
    publisher.publish_event("n/1", b"x")
    assert received(subscriber, 1) == [b"x"]


def test_the_first_event_of_a_topic_that_is_not_declared_arrives(life: Life) -> None:
    wide, exact = life.subscriber("n/#"), life.subscriber("n/1", "n/2")
    other = life.publisher("n/2")
    publisher = life.new("publisher", topics=())
    life.configured(publisher)

    for number in range(1, 6):
        publisher.publish_event(f"n/{number}", f"{number}")
    other.publish_event("n/9", "other")

    assert publisher.topics == ("n/1", "n/2", "n/3", "n/4", "n/5")
    assert sorted(received(wide, 6)) == [b"1", b"2", b"3", b"4", b"5", b"other"]
    assert received(exact, 2) == [b"1", b"2"]


def test_only_declared_topics_where_that_is_asked_for(life: Life) -> None:
    publisher = life.publisher("weather", declared_only=True)

    with pytest.raises(ConfigError, match="did you mean 'weather'"):
        publisher.publish_event("wether", b"sunny")
    with pytest.raises(ConfigError, match="did you mean 'weather'"):
        publisher.publish_events([b"sunny"], "wether")
    with pytest.raises(ConfigError, match="at least one topic"):
        publisher.remove_topics(["weather"])
    assert publisher.topics == ("weather",)


@pytest.mark.parametrize("topics", ["news", b"news", [1], None, [""], ["a/#"]])
@pytest.mark.parametrize("call", ["add_topics", "remove_topics"])
def test_topics_are_a_list_of_texts(life: Life, call: str, topics: Any) -> None:
    publisher = life.publisher("n", "e", "w", "s")
    with pytest.raises(ConfigError):
        getattr(publisher, call)(topics)
    assert set(publisher.topics) == {"n", "e", "w", "s"}


def test_the_strongest_publisher_is_heard(life: Life) -> None:
    weak = life.publisher("a", strengths=1)
    strong = life.publisher("a", strengths={"a": 2})
    subscriber = life.subscriber("a")
    for publisher in (weak, strong):
        publisher.wait_for_subscribers(1, WAIT_S)
    subscriber.wait_until_ready(WAIT_S)
    for publisher in (weak, strong, weak):
        publisher.publish_event("a", publisher.address.encode())
    assert received(subscriber, 1) == [strong.address.encode()]
    assert subscriber.receive(0.05) is None
    strong.disconnect()
    wait_for(
        lambda: weak.publish_event("a", b"weak") or subscriber.receive(0.02), "weak"
    )


def test_history_is_for_those_that_come_later(life: Life) -> None:
    publisher = life.publisher("a", history=20)
    publisher.publish_events([b"%d" % number for number in range(5)], "a")
    subscriber = life.subscriber("a", start="history")
    subscriber.wait_until_ready(WAIT_S)
    publisher.publish_event("a", b"new")
    assert received(subscriber, 6) == [b"0", b"1", b"2", b"3", b"4", b"new"]


def test_a_loss_is_recovered_or_told(life: Life) -> None:
    publisher = life.publisher("a", history=10)
    gaps: list[Gap] = []
    with_recovery = life.subscriber("a", recover=True, on_gap=gaps.append)
    without = life.subscriber("a", on_gap=gaps.append)
    publisher.wait_for_subscribers(2, WAIT_S)
    publisher.publish_event("a", b"0")
    publisher.generate_publish_event()  # takes number 1, and is not sent
    publisher.publish_event("a", b"2")
    assert received(without, 2) == [b"0", b"2"]
    assert [gap.count for gap in gaps] == [1]
    payloads = received(with_recovery, 3)
    assert (payloads[0], payloads[2]) == (b"0", b"2")
    assert with_recovery.counts().lost == 0
    assert without.counts().lost == 1


def test_publish_generates_events(life: Life) -> None:
    sent: list[int] = []
    publisher = life.publisher(
        "a",
        sleep_period=0.0,
        payload_bytes=10,
        on_sent=lambda topic, number, due, at: sent.append(number),
        max_event_count=20,
    )
    subscriber = life.subscriber("a")
    publisher.wait_for_subscribers(1, WAIT_S)
    assert publisher.publish() == 20
    assert len(received(subscriber, 20)) == 20
    assert sent == list(range(sent[0], sent[0] + 20))


def test_notify_writes_a_file(life: Life, tmp_path: Path) -> None:
    seen: list[bytes] = []
    publisher = life.publisher("a")
    subscriber = life.subscriber(
        "a",
        filename=str(tmp_path / "latencies"),
        max_event_count=10,
        on_event=lambda event: seen.append(event.payload),
    )
    publisher.wait_for_subscribers(1, WAIT_S)
    publisher.publish_events([b"%d" % number for number in range(12)], "a")
    subscriber.notify()
    assert seen == [b"%d" % number for number in range(10)]
    assert (tmp_path / "latencies").read_text().count("\n") >= 10
    assert subscriber.latencies.count == 10


def test_latency_error_is_known_on_one_host(life: Life) -> None:
    _, subscriber = life.both()
    assert subscriber.latency_error_ns() == (0, 0)


def test_waits_end_by_their_deadline_by_stop_and_by_what_they_wait_for(
    life: Life,
) -> None:
    publisher = life.publisher("a")
    with pytest.raises(NotReady):
        publisher.wait_for_subscribers(1, 0)
    with pytest.raises(NotReady):
        publisher.wait_for_subscribers(1, 0.02)
    waiting = in_thread(lambda: publisher.wait_for_subscribers(1, 20))
    subscriber = life.subscriber("a")
    assert ended(waiting)
    subscriber.wait_until_ready(WAIT_S)
    assert publisher.subscriber_count == 1

    def stopped() -> None:
        with pytest.raises(NotReady):
            publisher.wait_for_subscribers(2, 30)

    waiting = in_thread(stopped)
    publisher.stop()
    assert ended(waiting)
    assert publisher.stopped


@pytest.mark.parametrize("way", ["receive", "iterate", "batches", "notify"])
def test_stop_ends_receiving(life: Life, way: str) -> None:
    _, subscriber = life.both()
    ways: dict[str, Any] = {
        "receive": lambda: subscriber.receive(),
        "iterate": lambda: list(subscriber),
        "batches": lambda: list(subscriber.batches()),
        "notify": lambda: subscriber.notify(),
    }
    waiting = in_thread(ways[way])
    time.sleep(0.01)
    subscriber.stop()
    assert ended(waiting)
    in_time(ways[way], "after stop")


def test_a_publisher_blocks_until_there_is_room(life: Life) -> None:
    publisher = life.publisher("a", overflow="block", queue_limit=5)
    subscriber = life.subscriber("a", queue_limit=5)
    publisher.wait_for_subscribers(1, WAIT_S)
    payload = bytes(200_000)

    def publish() -> None:
        for _ in range(100):
            publisher.publish_event("a", payload)

    thread = in_thread(publish)
    for _ in range(100):
        assert subscriber.receive(20) is not None
    assert ended(thread)
    assert life.model == "centralized" or subscriber.counts().lost == 0


def test_errors_are_the_same(life: Life) -> None:
    publisher, subscriber = life.both()
    for topic, payload in (("", b"x"), ("a", 1), ("a", None), (None, b"x")):
        with pytest.raises(ConfigError):
            publisher.publish_event(topic, payload)
    with pytest.raises(ConfigError):
        publisher.publish_event("a", "\udcff")
    with pytest.raises(ConfigError):
        publisher.publish_json("a", object())
    with pytest.raises(ConfigError):
        publisher.publish_json("a", float("nan"))
    with pytest.raises(ConfigError):
        publisher.publish_events([b"1", 2], "a")
    publisher.publish_event("a", b"end")
    assert received(subscriber, 2) == [b"1", b"end"]


def test_repr_says_what_it_is(life: Life) -> None:
    for role, topic in (("publisher", "a/b"), ("subscriber", "b/#")):
        each = life.new(role, topic)
        if life.shell == "asyncio":
            each = each._inner  # the test's own
        for part in (role.capitalize(), topic, f"127.0.0.1:{life.port}", "made"):
            assert part in repr(each)


def test_methods_of_the_synchronous_class_are_there() -> None:
    import pubsub_publisher.aio
    import pubsub_subscriber.aio

    for package, name in (
        (pubsub_publisher, "Publisher"),
        (pubsub_subscriber, "Subscriber"),
    ):
        threads: Any = getattr(package, name)
        asyncio: Any = getattr(package.aio, name)
        there = {each for each in dir(threads) if not each.startswith("_")}
        assert there - set(dir(asyncio)) <= SEED, name


# Steps of the seed's classes.
SEED = {
    "setup_port_binding",
    "register_pub",
    "register_sub",
    "get_host_address",
    "setup_broker_topic_port_connections",
    "setup_notification_polling",
    "setup_publisher_direct_connections",
    "parse_notification",
    "parse_publish_event",
}


def test_the_broker_that_is_not_there_is_an_error(life: Life) -> None:
    for role in ("publisher", "subscriber"):
        each = life.new(role, broker_port=1, connect_timeout_s=0.05)
        with pytest.raises(PubSubError):
            each.configure()
        each.disconnect()

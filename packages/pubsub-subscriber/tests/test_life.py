"""The life of a subscriber: made, configured, closed, each once, in both shells."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from support.connected_subscribers import BOTH_MODELS, connect
from support.fake_broker import FakeBroker
from support.leftovers import Leftovers
from support.raw_sockets import RawPublisher
from support.threads import ended, in_thread

from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import Disconnect, Model, Register
from pubsub_common.testing import WAIT_S, wait_for
from pubsub_subscriber import Subscriber, aio

NewSubscriber = Callable[..., Subscriber]
NewPublisher = Callable[..., RawPublisher]


def options(broker: FakeBroker, **more: Any) -> dict[str, Any]:
    return {"topics": ["A"], "broker_port": broker.port, "attach_timeout_s": 0, **more}


# Twice, again, elsewhere


def test_configure_twice_is_one_error_and_one_registration(broker: FakeBroker) -> None:
    with Subscriber(**options(broker)) as subscriber:
        with pytest.raises(PubSubError, match="has been configured already"):
            subscriber.configure()
        assert subscriber.receive(0) is None

    assert len(broker.of(Register)) == len(broker.farewells()) == 1


def test_with_after_configure_works_and_registers_once(broker: FakeBroker) -> None:
    subscriber = Subscriber(**options(broker))
    subscriber.configure()

    with subscriber:
        assert subscriber.receive(0) is None

    assert len(broker.of(Register)) == len(broker.farewells()) == 1
    with pytest.raises(PubSubError, match="was disconnected; make a new one"):
        subscriber.configure()
    with pytest.raises(PubSubError, match="was disconnected; make a new one"):
        subscriber.__enter__()


def test_asyncio_configures_once_too(broker: FakeBroker) -> None:
    async def main() -> None:
        subscriber = aio.Subscriber(**options(broker))
        await subscriber.configure()
        async with subscriber:
            with pytest.raises(PubSubError, match="has been configured already"):
                await subscriber.configure()
            assert await subscriber.receive(0) is None
        with pytest.raises(PubSubError, match="was disconnected; make a new one"):
            await subscriber.configure()
        await subscriber.disconnect()

    asyncio.run(main())
    assert len(broker.of(Register)) == len(broker.farewells()) == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda subscriber: subscriber.register_sub(),
        lambda subscriber: subscriber.setup_notification_polling(),
        lambda subscriber: subscriber.setup_broker_topic_port_connections({}),
        lambda subscriber: subscriber.setup_publisher_direct_connections(),
        lambda subscriber: subscriber.wait_until_ready(),
        lambda subscriber: subscriber.receive(0),
        lambda subscriber: next(iter(subscriber)),
        lambda subscriber: next(subscriber.batches()),
        lambda subscriber: subscriber.notify(),
    ],
)
def test_use_before_and_after_is_one_error(
    broker: FakeBroker, use: Callable[[Subscriber], object]
) -> None:
    subscriber = Subscriber(**options(broker))
    with pytest.raises(PubSubError, match="not connected: call configure first"):
        use(subscriber)
    subscriber.configure()
    subscriber.disconnect()

    with pytest.raises(PubSubError, match="was disconnected; make a new one"):
        use(subscriber)


def test_register_sub_registers_no_second_time(
    broker: FakeBroker, new_subscriber: NewSubscriber
) -> None:
    new_subscriber("A").register_sub()

    assert len(broker.of(Register)) == 1


def test_counts_can_be_read_after_the_end(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    publisher.publish("A")
    assert subscriber.receive(WAIT_S)

    subscriber.disconnect()

    assert subscriber.event_count == subscriber.counts().received == 1
    assert subscriber.malformed_count == 0
    assert subscriber.session == broker.session
    assert subscriber.latency_error_ns() == (0, 0)


def test_a_disconnect_before_configure_does_nothing(broker: FakeBroker) -> None:
    subscriber = Subscriber(**options(broker))
    subscriber.disconnect()

    with subscriber:
        assert subscriber.receive(0) is None


def test_a_set_up_that_fails_leaves_nothing(broker: FakeBroker) -> None:
    broker.refusal = ("refused", "for a test")
    subscriber = Subscriber(**options(broker))
    left = Leftovers()

    with pytest.raises(PubSubError, match="for a test"):
        subscriber.configure()

    left.expect_none()
    with pytest.raises(PubSubError, match="was disconnected"):
        subscriber.configure()


def test_disconnect_ends_a_configure_in_another_thread(broker: FakeBroker) -> None:
    broker.silent = True
    left = Leftovers()
    subscriber = Subscriber(**options(broker))
    errors: list[BaseException] = []

    def configure() -> None:
        try:
            subscriber.configure()
        except PubSubError as error:
            errors.append(error)

    thread = in_thread(configure)
    wait_for(lambda: broker.of(Register), "the request")
    subscriber.disconnect()

    assert ended(thread)
    assert errors
    assert "pubsub-control" not in left.threads()


def test_a_repr_says_role_topics_broker_and_state(broker: FakeBroker) -> None:
    subscriber = Subscriber(**options(broker))
    where = f"<Subscriber topics=A broker=127.0.0.1:{broker.port} state="

    assert repr(subscriber) == where + "made>"
    with subscriber:
        assert repr(subscriber) == where + "configured>"
    assert repr(subscriber) == where + "closed>"


# Callbacks


@pytest.mark.parametrize("how", ["stop", "disconnect"])
def test_on_publisher_may_end_it(
    broker: FakeBroker, new_publisher: NewPublisher, how: str
) -> None:
    """It is called in the thread that `disconnect` would wait for."""
    called = threading.Event()
    publisher = new_publisher("A")
    left = Leftovers()

    def on_publisher(*_: object) -> None:
        getattr(subscriber, how)()
        called.set()

    subscriber = Subscriber(**options(broker, on_publisher=on_publisher))
    subscriber.configure()
    broker.tell(joined=[publisher.info])

    assert called.wait(WAIT_S)
    if how == "stop":
        assert list(subscriber) == []
        subscriber.disconnect()
    wait_for(lambda: broker.of(Disconnect), "the goodbye")
    left.expect_none()


@pytest.mark.parametrize("how", ["stop", "disconnect"])
def test_on_gap_may_end_it(
    broker: FakeBroker,
    new_subscriber: NewSubscriber,
    new_publisher: NewPublisher,
    how: str,
) -> None:
    publisher = new_publisher("A")
    gaps: list[object] = []

    def on_gap(gap: object) -> None:
        gaps.append(gap)
        getattr(subscriber, how)()

    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, on_gap=on_gap
    )
    publisher.publish("A", sequence=0)
    publisher.publish("A", sequence=2)

    assert len(list(subscriber)) == (2 if how == "stop" else 1)

    assert len(gaps) == 1
    assert subscriber.counts().lost == 1


def test_on_event_may_disconnect(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    seen: list[Event] = []

    def on_event(event: Event) -> None:
        seen.append(event)
        subscriber.disconnect()

    subscriber = connect(
        broker, "decentralized", publisher, new_subscriber, on_event=on_event
    )
    publisher.publish("A")

    subscriber.notify()

    assert len(seen) == 1
    assert len(broker.farewells()) == 1


# Not closed


def test_a_dropped_subscriber_is_closed_by_a_thread_of_its_own(
    broker: FakeBroker,
) -> None:
    left = Leftovers()
    subscriber = Subscriber(**options(broker))
    subscriber.configure()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del subscriber
        gc.collect()

    wait_for(lambda: broker.of(Disconnect), "the goodbye")
    left.expect_none()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "a subscriber was not disconnected" in str(caught[0].message)


def test_a_forked_child_can_do_nothing_with_it_and_nothing_to_it(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    uses: list[Callable[[], object]] = [
        lambda: subscriber.receive(0),
        lambda: subscriber.receive(),
        lambda: next(iter(subscriber)),
        subscriber.wait_until_ready,
        subscriber.notify,
    ]
    child = os.fork()
    if not child:
        code = 1
        try:
            for use in uses:
                with pytest.raises(PubSubError, match="another process"):
                    use()
            subscriber.stop()
            subscriber.disconnect()
            del subscriber, uses
            gc.collect()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0

    assert not broker.of(Disconnect)
    publisher.publish("A")
    assert subscriber.receive(WAIT_S)


# First events


@BOTH_MODELS
def test_configure_returns_when_publishers_that_are_there_have_answered(
    broker: FakeBroker, new_publisher: NewPublisher, model: Model
) -> None:
    publisher = new_publisher("A")
    thread = in_thread(publisher.get_ready)

    def make(*topics: str, **more: Any) -> Subscriber:
        return Subscriber(**options(broker, **{**more, "attach_timeout_s": WAIT_S}))

    broker.model = model
    broker.ports = {"A": publisher.port} if model == "centralized" else {}
    broker.publishers = [
        publisher.hidden_info if model == "centralized" else publisher.info
    ]
    with make() as subscriber:
        assert ended(thread)
        assert subscriber.centralized is (model == "centralized")
        subscriber.wait_until_ready(0)
        publisher.publish("A")
        assert subscriber.receive(WAIT_S)


def test_who_does_not_answer_in_time_is_named_in_one_line(
    broker: FakeBroker,
    new_publisher: NewPublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = new_publisher("A")
    broker.publishers = [publisher.info]

    with (
        Subscriber(**options(broker, attach_timeout_s=0.01)) as subscriber,
        pytest.raises(NotReady),
    ):
        subscriber.wait_until_ready(0)

    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"1 of the publishers ({publisher.address})" in record.getMessage()


def test_a_broker_of_the_other_model_after_a_restart_is_followed(
    broker: FakeBroker, new_subscriber: NewSubscriber, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher("A")
    subscriber = connect(broker, "decentralized", publisher, new_subscriber)
    publisher.publish("A")
    assert subscriber.receive(WAIT_S)
    forwarder = new_publisher("A")
    broker.model = "centralized"
    broker.ports = {"A": forwarder.port}
    broker.publishers = [forwarder.hidden_info]

    broker.restart()
    forwarder.get_ready()
    subscriber.wait_until_ready(WAIT_S)
    forwarder.publish("A", b"forwarded")

    event = subscriber.receive(WAIT_S)
    assert event is not None
    assert event.payload == b"forwarded"
    assert subscriber.centralized

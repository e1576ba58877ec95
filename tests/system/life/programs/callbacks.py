"""The user's code that ours calls: logging handlers and callbacks that publish,
receive, stop, disconnect and raise."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import zmq
from support.life_program import (
    SLACK,
    WAIT_S,
    Receiving,
    Roles,
    check_counts,
    in_time,
    main,
    open_descriptors,
    settled,
)
from support.running_roles import status

from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_publisher import Publisher


class Publishes(logging.Handler):
    """Publishes log records, except those of its own publishing."""

    def __init__(self, publisher: Publisher) -> None:
        super().__init__()
        self.publisher = publisher
        self.count = 0
        self.errors: list[BaseException] = []
        self._inside = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self._inside, "now", False):
            return
        self._inside.now = True
        try:
            self.publisher.publish_event("log", self.format(record))
            self.count += 1
        except PubSubError:  # made, not configured yet; or disconnected
            pass
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self._inside.now = False


def logging_handler(model: str, own: bool = True) -> None:
    """All log records, at every level, are published: by the publisher itself (``own``)
    or by another one, while it and others start, work, get malformed messages, and end.
    """
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    logging.raiseExceptions = False
    with Roles(model) as roles:
        log = roles.new_publisher("log", "a", history=10, overflow="block")
        handler = Publishes(log)
        root.addHandler(handler)
        log.configure()
        receiving = Receiving(roles.subscriber("log"))
        log.wait_for_subscribers(1, WAIT_S)
        publisher = log if own else roles.publisher("a", history=10)
        in_time(lambda: odd_messages(publisher.address), "a stranger")
        subscriber = roles.subscriber("a", "log", recover=True)
        in_time(lambda: publisher.wait_for_subscribers(1, WAIT_S), "waiting")
        for number in range(300):
            in_time(
                lambda n=number: publisher.publish_event("a", b"%d" % n)  # type: ignore[misc]
            ) if number % 50 == 0 else publisher.publish_event("a", b"%d" % number)
        in_time(lambda: publisher.add_topics(["more"]), "add_topics")
        in_time(lambda: publisher.remove_topics(["more"]), "remove_topics")
        found = 0
        while found < 300:
            event = subscriber.receive(10)
            assert event is not None, f"{found} of 300 came"
            found += event.topic == "a"
        in_time(subscriber.disconnect, "a subscriber's disconnect")
        with roles.new_publisher("b"), roles.new_subscriber("b", start="history"):
            pass
        log.publish_event("log", b"end")
        receiving.ends_with(b"end")
        in_time(log.disconnect, "disconnect")
        root.removeHandler(handler)
        receiving.stop()
        check_counts(receiving.subscriber, len(receiving.payloads))
        assert not handler.errors, handler.errors
        assert handler.count > 5, handler.count
        print(f"{handler.count} records published")


def odd_messages(address: str) -> None:
    """Messages that a hostile client may send to a publisher."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as stranger:
        stranger.connect(f"tcp://{address}")
        for message in (b"\x02what", b"", b"\x01", b"\x01" + b"\xff" * 300, b"\x00zz"):
            stranger.send(message)
        stranger.send(b"\x01a")


def raising_handler(model: str) -> None:
    """A logging handler that raises for every record of a publisher or subscriber."""
    others: set[threading.Thread] = set()

    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if threading.current_thread() not in others:
                raise RuntimeError("a mistake of the user")

    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    before = None
    for turn in range(3):
        handler = Raises()
        with Roles(model) as roles:
            others = set(threading.enumerate()) - {threading.main_thread()}
            root.addHandler(handler)
            for _ in range(5):
                publisher, subscriber = roles.new_publisher(), roles.new_subscriber()
                for begin in (publisher.configure, subscriber.configure):
                    with contextlib.suppress(RuntimeError):
                        begin()
                ends = [publisher.disconnect, subscriber.disconnect]
                for end in ends if turn else reversed(ends):
                    in_time(end, "disconnect")
            root.removeHandler(handler)
            settled(lambda: len(status(roles.port).clients), 0, "clients")
        descriptors = open_descriptors()
        if before is not None:
            settled(open_descriptors, before + SLACK, "descriptors")
        before = before or descriptors
    settled(threading.active_count, 1, "threads")
    print("nothing is left")


# Callbacks of a subscriber


def on_event(model: str, what: str) -> None:
    """`notify` with a callback that publishes, stops, disconnects or raises."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", "b", history=10)
        answers = Receiving(roles.subscriber("b"))
        count = 0
        subscriber = roles.new_subscriber("a", on_event=lambda _: work())

        def work() -> None:
            nonlocal count
            count += 1
            if what == "publish":
                publisher.publish_event("b", b"%d" % count)
            if count == 50 or what == "raise":
                ending[what]()

        def fail() -> None:
            raise ValueError("a mistake of the user")

        ending: dict[str, Callable[[], object]] = {
            "publish": subscriber.stop,
            "stop": subscriber.stop,
            "disconnect": subscriber.disconnect,
            "raise": fail,
        }
        subscriber.configure()
        publisher.wait_for_subscribers(2, WAIT_S)
        publisher.publish_events([b"%d" % n for n in range(60)], "a")
        try:
            in_time(subscriber.notify, "notify")
        except AssertionError as error:
            expected = ValueError if what == "raise" else PubSubError
            assert what in ("raise", "disconnect"), error
            assert isinstance(error.__cause__, expected), error.__cause__
        if what == "raise":
            assert count == 1
            event = subscriber.receive(WAIT_S)  # the next one, and still usable
            assert event is not None
            assert event.payload == b"1"
        elif what == "publish":
            settled(lambda: 50 - len(answers.payloads), 0, "answers")
        else:
            assert count >= 50
        answers.stop()
        in_time(subscriber.disconnect, "disconnect")
        print(f"{count} calls")


def on_gap(model: str, what: str) -> None:
    """A callback for losses that publishes, receives, stops, disconnects or raises."""
    with Roles(model) as roles:
        publisher = roles.publisher("a", "b")
        others = Receiving(roles.subscriber("b"))
        gaps: list[Gap] = []
        subscriber = roles.new_subscriber("a", on_gap=lambda gap: work(gap))

        def work(gap: Gap) -> None:
            gaps.append(gap)
            if what == "publish":
                publisher.publish_event("b", b"lost")
            elif what == "raise":
                raise ValueError("a mistake of the user")
            elif what == "receive":
                subscriber.receive(0)
            elif what == "counts":
                assert subscriber.counts().lost == 1
            else:
                getattr(subscriber, what)()

        subscriber.configure()
        publisher.wait_for_subscribers(2, WAIT_S)
        publisher.publish_event("a", b"1")
        publisher.generate_publish_event()  # takes a number, and is not sent
        publisher.publish_event("a", b"3")
        publisher.publish_event("a", b"4")
        came: list[bytes] = []
        errors: list[BaseException] = []

        def receive() -> None:
            for _ in range(5):
                try:
                    event = subscriber.receive(0.5)
                except (ValueError, PubSubError) as error:
                    errors.append(error)
                else:
                    if event is not None:
                        came.append(event.payload)

        in_time(receive, "receive")
        assert [gap.count for gap in gaps] == [1], gaps
        if what == "raise":
            assert [type(error) for error in errors] == [ValueError]
        if what in ("publish", "raise", "counts"):
            assert came == [b"1", b"3", b"4"], came
        if what == "publish":
            others.ends_with(b"lost")
        assert subscriber.counts().lost == 1
        others.stop()
        in_time(subscriber.disconnect, "disconnect")
        print(came, errors)


def on_publisher(model: str, what: str) -> None:
    """A callback in the control thread that publishes, stops, disconnects or raises."""
    with Roles(model) as roles:
        log = roles.publisher("log")
        notes = Receiving(roles.subscriber("log"))
        log.wait_for_subscribers(1, WAIT_S)
        calls: list[bool] = []

        def work(info: PublisherInfo, here: bool) -> None:
            calls.append(here)
            if what == "publish":
                log.publish_event("log", b"%d" % here)
            elif what == "raise":
                raise ValueError("a mistake of the user")
            elif what == "add":
                log.add_topics([f"{len(calls)}"])
            else:
                getattr(subscriber, what)()

        with (
            roles.new_publisher("a"),
            roles.new_subscriber("a"),
        ):  # objects that are made once
            pass
        threads, descriptors = threading.active_count(), open_descriptors()
        subscriber = roles.new_subscriber("a", on_publisher=work)
        subscriber.configure()
        errors: list[BaseException] = []
        for _ in range(3):
            publisher = roles.publisher("a")
            try:
                in_time(lambda: subscriber.receive(0.05), "receive")
            except AssertionError as error:
                assert isinstance(error.__cause__, Exception), error
                errors.append(error.__cause__)
            in_time(publisher.disconnect, "disconnect")
        settled(lambda: 1 - len(calls), 0, "calls")
        if what in ("publish", "add"):
            settled(lambda: 6 - len(calls), 0, "calls")
            assert not errors, errors
        if what == "publish":
            settled(lambda: 6 - len(notes.payloads), 0, "notes")
        in_time(subscriber.disconnect, "disconnect")
        in_time(subscriber.disconnect, "disconnect")
        settled(threading.active_count, threads, "threads")
        settled(open_descriptors, descriptors + SLACK, "descriptors")
        settled(
            lambda: sum(c.role == "subscriber" for c in status(roles.port).clients),
            1,
            "subscribers",
        )
        notes.stop()
        print(calls, errors)


def on_sent(model: str, what: str) -> None:
    """A callback of `publish` that publishes, stops, disconnects or raises."""
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber("a", "b"))
        count = 0
        publisher: Publisher

        def work(*_: Any) -> None:
            nonlocal count
            count += 1
            if what == "publish":
                publisher.publish_event("b", b"%d" % count)
            if count == 20:
                if what == "raise":
                    raise ValueError("a mistake of the user")
                if what != "publish":
                    getattr(publisher, what)()

        publisher = roles.publisher(
            "a", "b", on_sent=work, max_event_count=40, sleep_period=0.0005
        )
        publisher.wait_for_subscribers(1, WAIT_S)
        try:
            in_time(publisher.publish, "publish")
        except AssertionError as error:
            expected = ValueError if what == "raise" else PubSubError
            assert what in ("raise", "disconnect"), error
            assert isinstance(error.__cause__, expected), error.__cause__
        if what == "raise":
            in_time(lambda: publisher.publish_event("a", b"end"), "publish_event")
            receiving.ends_with(b"end")
        in_time(publisher.disconnect, "disconnect")
        sent = count * (2 if what == "publish" else 1)
        settled(lambda: sent - len(receiving.payloads), 0, "events missing")
        receiving.stop()
        check_counts(receiving.subscriber)
        print(f"{count} calls")


def lazy_events(model: str, what: str) -> None:
    """`publish_events` calls the user's iterator, which publishes, stops, disconnects
    or raises: no lock is held meanwhile."""
    with Roles(model) as roles:
        receiving = Receiving(roles.subscriber("a", "b"))
        publisher = roles.publisher("a", "b")
        publisher.wait_for_subscribers(1, WAIT_S)

        def events() -> Any:
            for number in range(10):
                if number == 5:
                    if what == "publish":
                        publisher.publish_event("a", b"between")
                        in_time(lambda: publisher.publish_event("b", b"other"), "other")
                    elif what == "raise":
                        raise ValueError("a mistake of the user")
                    else:
                        getattr(publisher, what)()
                yield b"%d" % number

        try:
            in_time(lambda: publisher.publish_events(events(), "a"), "publish_events")
        except AssertionError as error:
            assert isinstance(error.__cause__, ValueError | PubSubError), error
        if what in ("publish", "raise"):
            in_time(lambda: publisher.publish_event("a", b"end"), "publish_event")
            receiving.ends_with(b"end")
            assert {b"0", b"4"} <= set(receiving.payloads), receiving.payloads
        in_time(publisher.disconnect, "disconnect")
        receiving.stop()
        check_counts(receiving.subscriber)
        print(receiving.payloads)


def dropped_in_callback(model: str) -> None:
    """Objects of the user with a `__del__` that publishes, collected anywhere in our
    code."""
    import gc

    class Tells:
        def __init__(self) -> None:
            self.itself = self  # only the collector finds it

        def __del__(self) -> None:
            publisher.publish_event("b", b"gone")

    with Roles(model) as roles:
        publisher = roles.publisher("a", "b")
        gone = Receiving(roles.subscriber("b"))
        receiving = Receiving(roles.subscriber("a"))
        publisher.wait_for_subscribers(2, WAIT_S)
        gc.set_threshold(5)
        number = 0
        for number in range(1, 1501):
            Tells()
            publisher.publish_event("a", b"%d" % number)
        gc.set_threshold(700)
        gc.collect()
        in_time(lambda: publisher.publish_event("a", b"end"), "publish_event")
        receiving.ends_with(b"end")
        # The collector does nothing while it runs in another thread, so it is called
        # again.
        settled(lambda: gc.collect() * 0 + 1500 - len(gone.payloads), 0, "missing")
        for each, count in ((gone, 1500), (receiving, number + 1)):
            each.stop()
            assert len(each.payloads) == count
            check_counts(each.subscriber, count)
        print(f"{number} events")


if __name__ == "__main__":
    main(
        {
            each.__name__: each
            for each in (
                logging_handler,
                raising_handler,
                on_event,
                on_gap,
                on_publisher,
                on_sent,
                lazy_events,
                dropped_in_callback,
            )
        }
    )

"""Systems with host names, which may get other addresses."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest
from support.running_roles import WAIT_S, Program, Receiver, RunningBroker, Security

from pubsub_common.client.status_client import ask
from pubsub_common.errors import PubSubError, RegistrationRefused
from pubsub_common.net import addresses
from pubsub_common.protocol.endpoints import host_of
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber


class Names:
    """The names that the resolver of this process knows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, list[str]] = {}
        # Lookup threads do not find anything yet.
        self.late = False
        self.asked: list[str] = []
        self.threads: set[str] = set()
        monkeypatch.setattr(addresses, "resolve_all", self._look_up)

    def _look_up(self, host: str) -> list[str]:
        if not host.endswith(".example"):
            return [host]
        self.asked.append(host)
        thread = threading.current_thread().name
        self.threads.add(thread)
        if host not in self.known or (self.late and thread == "pubsub-lookup"):
            raise PubSubError(f"no IP address is known of {host!r}: for a test")
        return self.known[host]


def _clients(broker: RunningBroker, security: Security | None) -> int:
    """The number of clients of this broker."""
    keys = None if security is None else security.keys
    return len(ask(broker.broker.address, broker.port, WAIT_S, keys).clients)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def test_a_publisher_may_have_a_name(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
) -> None:
    names.known["pub.example"] = ["127.0.0.1"]
    broker = run_broker(allow_foreign_addresses=True)
    source = new_publisher(broker.port, address="pub.example")
    sink = new_subscriber(broker.port, address="Sub.Example", max_event_count=1)

    sink.wait_until_ready(WAIT_S)
    source.wait_for_subscribers(1, WAIT_S)
    source.publish_event("A", "x")
    (event,) = sink

    assert host_of(event.publisher) == "pub.example"
    assert "pubsub-control" not in names.threads


def test_a_publishers_name_is_refused_by_a_broker_that_compares_addresses(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
) -> None:
    names.known["pub.example"] = ["127.0.0.1"]
    broker = run_broker()

    with pytest.raises(RegistrationRefused, match="--allow-foreign-addresses"):
        new_publisher(broker.port, address="pub.example")
    # No client connects to a subscriber.
    new_subscriber(broker.port, address="sub.example")


def test_a_publisher_is_found_as_soon_as_its_name_is_known(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    caplog: pytest.LogCaptureFixture,
) -> None:
    names.known["pub.example"] = ["127.0.0.1"]
    names.late = True
    broker = run_broker(allow_foreign_addresses=True)
    sink = new_subscriber(broker.port, attach_timeout_s=0)
    source = new_publisher(broker.port, address="pub.example", attach_timeout_s=0)
    wait_for(lambda: names.asked.count("pub.example") > 2, "the name to be asked for")
    complaints = [text for text in caplog.messages if "cannot connect to pub" in text]
    assert len(complaints) == 1
    assert (
        "no IP address is known of 'pub.example': for a test; retrying" in complaints[0]
    )
    names.late = False

    source.wait_for_subscribers(1, WAIT_S)
    source.publish_event("A", "x")
    assert next(iter(sink)).payload == b"x"


def test_a_publisher_that_has_moved_is_found(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    receive: Callable[[Subscriber], Receiver],
) -> None:
    names.known["pub.example"] = ["127.0.0.1"]
    broker = run_broker(allow_foreign_addresses=True)
    receiver = receive(new_subscriber(broker.port))
    first = new_publisher(broker.port, address="pub.example")
    first.wait_for_subscribers(1, WAIT_S)
    first.publish_event("A", "x")
    receiver.wait_for_events(1)
    first.disconnect()
    names.known["pub.example"] = ["127.0.0.2"]

    second = new_publisher(
        broker.port, address="pub.example", bind_port=first.bind_port
    )
    second.wait_for_subscribers(1, WAIT_S)
    second.publish_event("A", "y")

    receiver.wait_for_events(2)
    assert receiver.payloads == [b"x", b"y"]


def test_a_broker_that_has_moved_is_found(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    new_subscriber: Callable[..., Subscriber],
    security: Security | None,
) -> None:
    names.known["broker.example"] = ["127.0.0.1"]
    first = run_broker()
    options = {"broker_address": "broker.example"}
    source = new_publisher(first.port, **options)
    sink = new_subscriber(first.port, **options)
    events = iter(sink)
    source.wait_for_subscribers(1, WAIT_S)
    source.publish_event("A", "x")
    assert next(events).payload == b"x"
    first.stop()
    names.known["broker.example"] = ["127.0.0.2"]

    second = run_broker(bind="127.0.0.2", port=first.port)
    wait_for(lambda: _clients(second, security) == 2, "both to come back")
    sink.wait_until_ready(WAIT_S)
    source.wait_for_subscribers(1, WAIT_S)
    source.publish_event("A", "y")

    assert next(events).payload == b"y"


def test_a_brokers_name_may_be_known_a_little_later(
    names: Names,
    run_broker: Callable[..., RunningBroker],
    new_publisher: Callable[..., Publisher],
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = run_broker()

    def make_known() -> None:
        wait_for(lambda: names.asked, "the name to be asked for")
        names.known["broker.example"] = ["127.0.0.1"]

    helper = threading.Thread(target=make_known)
    helper.start()
    new_publisher(broker.port, broker_address="broker.example")
    helper.join()

    said = [text for text in caplog.messages if "broker.example" in text]
    assert len(said) == 1
    assert said[0].endswith(f"for a test; trying for {WAIT_S:g} s")


@pytest.mark.parametrize("role", ["publisher", "subscriber"])
def test_a_program_that_waits_for_a_name_can_be_stopped(
    run: Callable[..., Program], role: str
) -> None:
    program = run(f"pubsub-{role}", "-b", "broker.invalid", "-t", "A")
    program.says("'broker.invalid'")
    program.says("; trying for 30 s")

    program.send(signal.SIGTERM)

    assert program.wait() == 0
    assert "Traceback" not in program.err

"""A broker on real sockets, with peers that implement the protocol by hand."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import zmq
from support.broker_parts import parts_of
from support.leftovers import Leftovers

from pubsub_broker import Broker
from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding import pool
from pubsub_broker.forwarding.clear_ports import ClearPorts, bind_next
from pubsub_broker.limits import address_limits
from pubsub_broker.monitoring import event_log
from pubsub_broker.transport import control_socket
from pubsub_common import defaults
from pubsub_common.errors import CannotListen, ConfigError, PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.events import (
    decode_event,
    encode_event,
    encode_ready_reply,
    ready_topic,
    topic_prefix,
)
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Request,
    Status,
    StatusRequest,
    TopicPort,
)
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing import wait_for

HOST = "127.0.0.1"
WAIT_MS = 30_000
SILENCE_MS = 100  # enough to see an unexpected message
LONG_LEASE_S = 600.0

_M = TypeVar("_M", bound=Reply)


class Peer:
    """A client that sends exactly the test's messages."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], broker: Broker) -> None:
        self.dealer = context.socket(zmq.DEALER)
        self.dealer.rcvtimeo = WAIT_MS
        self.dealer.linger = 0
        self.dealer.connect(f"tcp://{HOST}:{broker.port}")
        self.centralized = broker.centralized
        self.session = -1
        self.ids = itertools.count(1)

    def send(self, request: Request | bytes) -> None:
        data = request if isinstance(request, bytes) else messages.encode(request)
        self.dealer.send(data)

    def receive(self, kind: type[_M]) -> _M:
        """The next message of this kind; others are skipped."""
        while True:
            message = messages.decode_reply(self.dealer.recv())
            if isinstance(message, kind):
                return message

    def register(self, role: messages.Role, *topics: str, **changes: Any) -> Registered:
        self.send(self.registration(role, *topics, **changes))
        reply = self.receive(Registered)
        self.session = reply.session
        return reply

    def registration(
        self, role: messages.Role, *topics: str, **changes: Any
    ) -> Register:
        fields: dict[str, Any] = {
            "id": next(self.ids),
            "versions": VERSIONS,
            "role": role,
            "topics": list(topics),
            "address": HOST if role == "subscriber" else f"{HOST}:1",
            "clock": "realtime",
        }
        return Register(**{**fields, **changes})

    def heartbeat(self) -> Alive:
        self.send(Heartbeat(id=next(self.ids), session=self.session))
        return self.receive(Alive)

    def disconnect(self, **next_sequences: int) -> Disconnected:
        self.send(
            Disconnect(
                id=next(self.ids), session=self.session, next_sequences=next_sequences
            )
        )
        return self.receive(Disconnected)

    def status(self) -> Status:
        self.send(StatusRequest(id=next(self.ids)))
        return self.receive(Status)


class Source:
    """A publisher's data port, and its registration."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        broker: Broker,
        *topics: str,
    ) -> None:
        self.xpub = context.socket(zmq.XPUB)
        self.xpub.rcvtimeo = WAIT_MS
        self.xpub.set_hwm(0)
        self.xpub.linger = 0
        self.address = f"{HOST}:{self.xpub.bind_to_random_port(f'tcp://{HOST}')}"
        self.peer = Peer(context, broker)
        self.peer.register("publisher", *topics, address=self.address)
        self.sequence = itertools.count()

    def wait_for(self, *prefixes: bytes) -> None:
        missing = {b"\1" + prefix for prefix in prefixes}
        while missing:
            missing.discard(self.xpub.recv())

    def send(self, topic: str, count: int = 1) -> None:
        for number in itertools.islice(self.sequence, count):
            self.xpub.send(
                encode_event(
                    topic, self.address, self.peer.session, number, 0, b"payload"
                )
            )


class Sink:
    """A subscriber of events from the broker."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], broker: Broker, *topics: str
    ) -> None:
        self.peer = Peer(context, broker)
        self.ports = self.peer.register("subscriber", *topics).ports
        self.subs = {port: self._socket(context, port) for port in self.ports.values()}
        for topic, port in self.ports.items():
            self.subs[port].subscribe(topic_prefix(topic))

    def _socket(
        self, context: zmq.Context[zmq.Socket[bytes]], port: TopicPort
    ) -> zmq.Socket[bytes]:
        sub = context.socket(zmq.SUB)
        sub.rcvtimeo = WAIT_MS
        sub.set_hwm(0)
        sub.connect(f"tcp://{HOST}:{port}")
        return sub

    def numbers(self, topic: str, count: int) -> list[int]:
        sub = self.subs[self.ports[topic]]
        return [decode_event(sub.recv()).sequence for _ in range(count)]


Run = Callable[..., Broker]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts brokers with their loops in threads, and ends them."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Broker:
            options = {
                "bind": HOST,
                "port": 0,
                "indefinite": True,
                "lease_s": LONG_LEASE_S,
                **options,
            }
            broker = stack.enter_context(Broker(**options))
            thread = threading.Thread(target=broker.event_loop, name="loop")
            thread.start()
            stack.callback(thread.join)
            stack.callback(broker.stop)
            return broker

        yield start


@pytest.fixture(params=[False, True], ids=["decentralized", "centralized"])
def centralized(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Set-up and end


@pytest.mark.parametrize(
    "options",
    [
        {"max_event_count": 0},
        {"port": -1},
        {"port": 65536},
        {"lease_s": 0},
        {"lease_s": -1.0},
        {"lease_s": float("nan")},
        {"lease_s": float("inf")},
        {"forwarders": 0},
        {"queue_limit": 0},
        {"queue_limit": 2**31},
        {"overflow": "wait"},
        {"max_clients": 0},
        {"bind": "10.0.0.1:80"},
        {"bind": "224.0.0.1"},
    ],
)
def test_an_argument_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Broker(**options)


def test_port_0_takes_a_free_one(centralized: bool) -> None:
    with Broker(centralized, bind=HOST, port=0) as broker:
        assert broker.port > 0
        assert broker.address == HOST


def test_a_port_in_use_is_refused_and_everything_closed(centralized: bool) -> None:
    with Broker(bind=HOST, port=0) as first:
        other = Broker(centralized, indefinite=True, bind=HOST, port=first.port)
        with pytest.raises(CannotListen, match=f"cannot listen on {HOST}:{first.port}"):
            other.configure()
        other.disconnect()


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1"):
        Broker(bind="192.0.2.1", port=0).configure()


@pytest.mark.parametrize("indefinite", [True, False])
def test_a_failure_between_two_forwarders_closes_everything(
    monkeypatch: pytest.MonkeyPatch, indefinite: bool
) -> None:
    bind = bind_next
    bound: list[int] = []

    def fail_on_the_second(*arguments: Any) -> int:
        if bound:
            raise CannotListen("no free port")
        bound.append(bind(*arguments))
        return bound[0]

    monkeypatch.setattr(pool, "bind_next", fail_on_the_second)

    with pytest.raises(CannotListen, match="no free port"):
        Broker(True, indefinite, bind=HOST, port=0, forwarders=3).configure()


def test_without_a_free_port_there_is_no_forwarder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Broker(bind=HOST, port=0) as first:
        monkeypatch.setattr(ClearPorts, "take", lambda _self, _host: first.port)

        with pytest.raises(CannotListen, match="no free port"):
            Broker(True, bind=HOST, port=0).configure()


def test_ending_twice_and_before_the_start_does_nothing(centralized: bool) -> None:
    broker = Broker(centralized, True, bind=HOST, port=0)
    broker.disconnect()
    broker.stop()
    with broker:
        pass
    broker.disconnect()
    broker.stop()


def test_ending_leaves_no_thread(centralized: bool) -> None:
    left = Leftovers()
    with Broker(centralized, True, bind=HOST, port=0, forwarders=2):
        pass

    assert not [name for name in left.threads() if name.startswith("forwarder")]


def test_the_ports_that_are_handed_out_are_all_different() -> None:
    with Broker(bind=HOST, port=0) as broker:
        ports = [broker.get_clear_port() for _ in range(50)]

    assert len({*ports, broker.port}) == 51


def test_the_host_address_is_looked_for_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pubsub_common.net.addresses.host_address", lambda: "127.0.0.2")

    assert Broker().get_host_address() == "127.0.0.2"
    assert Broker(bind=HOST).get_host_address() == HOST
    assert Broker(bind=HOST).get_host_address() == HOST


def test_only_this_machine_is_served_unless_an_address_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Like on a Mininet host.
    monkeypatch.setattr("pubsub_common.net.addresses.host_address", lambda: "10.0.0.1")

    with Broker(port=0) as broker:
        assert broker.address == "127.0.0.1"
    with Broker(port=0, bind="127.0.0.3") as broker:
        assert broker.address == "127.0.0.3"


def test_a_decentralized_broker_has_no_ports_to_send_from() -> None:
    with Broker(bind=HOST, port=0) as broker:
        assert broker.update_send_socket() == []


def test_a_centralized_broker_has_one_port_per_forwarder() -> None:
    with Broker(True, bind=HOST, port=0, forwarders=3) as broker:
        ports = broker.update_send_socket()

        assert len(set(ports)) == 3
        assert broker.update_send_socket() == ports


def test_stopping_from_another_thread_ends_the_loop(centralized: bool) -> None:
    with Broker(centralized, True, bind=HOST, port=0) as broker:
        stopper = threading.Timer(0.01, broker.stop)
        stopper.start()
        broker.event_loop()
        stopper.join()


def test_stopping_in_a_signal_handler_ends_the_loop(centralized: bool) -> None:
    with Broker(centralized, True, bind=HOST, port=0) as broker:
        before = signal.signal(signal.SIGUSR1, lambda *_: broker.stop())
        killer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
        try:
            killer.start()
            broker.event_loop()
        finally:
            killer.join()
            signal.signal(signal.SIGUSR1, before)


def test_a_loop_that_was_stopped_before_does_not_start() -> None:
    with Broker(indefinite=True, bind=HOST, port=0) as broker:
        broker.stop()
        broker.event_loop()


# Control


def test_clients_register_and_renew_and_leave(
    context: zmq.Context[zmq.Socket[bytes]], run: Run, centralized: bool
) -> None:
    broker = run(centralized=centralized)
    peer = Peer(context, broker)

    reply = peer.register("subscriber", "A")

    assert reply.model == ("centralized" if centralized else "decentralized")
    assert reply.lease_s == LONG_LEASE_S
    assert peer.heartbeat().known
    assert peer.heartbeat().epoch == reply.epoch
    peer.disconnect()
    assert not peer.heartbeat().known


def test_subscribers_are_told_of_publishers_that_come_and_go(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run()
    subscriber, publisher = Peer(context, broker), Peer(context, broker)
    subscriber.register("subscriber", "A")

    publisher.register("publisher", "A", address=f"{HOST}:4321")
    [info] = subscriber.receive(PublishersChanged).joined
    publisher.disconnect(A=7)
    [departure] = subscriber.receive(PublishersChanged).left

    assert (info.session, info.address) == (publisher.session, f"{HOST}:4321")
    assert departure.session == publisher.session
    assert departure.next_sequences == {"A": 7}


def test_a_dead_publisher_is_noticed(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(lease_s=0.2)
    subscriber, publisher = Peer(context, broker), Peer(context, broker)
    publisher.register("publisher", "A")
    # Registering renews the lease, also on a busy machine.
    while not subscriber.register("subscriber", "A").publishers:
        publisher.register("publisher", "A")

    while subscriber.register("subscriber", "A", session=subscriber.session).publishers:
        pass

    assert publisher.session not in [c.session for c in subscriber.status().clients]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([b""], id="empty"),
        pytest.param([b"nonsense"], id="nonsense"),
        pytest.param([b"\xff" * 1000], id="not UTF-8"),
        pytest.param([b"[" * 1_000_000], id="deep"),
        pytest.param([b'{"type":"status","id":1}', b"more"], id="two frames"),
        pytest.param([b"", b'{"type":"status","id":1}'], id="as a REQ socket sends"),
        pytest.param([b'{"type":"status","id":' + b"9" * 5000 + b"}"], id="huge id"),
        pytest.param([b'{"type":"alive","id":1}'], id="a reply"),
    ],
)
def test_a_malformed_message_costs_one_reply(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    centralized: bool,
    frames: list[bytes],
) -> None:
    peer = Peer(context, run(centralized=centralized))

    peer.dealer.send_multipart(frames)

    error = peer.receive(Error)
    assert error.code == messages.MALFORMED
    assert peer.status().rejected == 1


def test_a_message_beyond_the_limit_costs_one_reply(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    peer = Peer(context, run())

    peer.send(b" " * (defaults.MAX_CONTROL_BYTES + 1))

    error = peer.receive(Error)
    assert error.code == messages.MALFORMED
    assert str(defaults.MAX_CONTROL_BYTES) in error.detail
    assert peer.status().rejected == 1


def test_a_message_far_beyond_the_limit_costs_its_sender_the_connection_only(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run()
    bad, good = Peer(context, broker), Peer(context, broker)
    bad.status()

    bad.send(b" " * (2 * defaults.MAX_CONTROL_BYTES + 1))

    assert good.register("publisher", "A").session >= 0
    assert bad.status().rejected == 0  # by a new connection


def test_a_long_subscription_costs_its_sender_the_connection_only(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True)
    source = Source(context, broker, "A")
    sink = Sink(context, broker, "A")
    [port] = sink.ports.values()
    source.wait_for(topic_prefix("A"))
    bad = sink._socket(context, port)
    bad.subscribe(topic_prefix("B"))
    source.wait_for(topic_prefix("B"))

    bad.subscribe(b"B" * defaults.MAX_SUBSCRIPTION_BYTES)

    # It is cut off, so its subscriptions end.
    while source.xpub.recv() != b"\0" + topic_prefix("B"):
        pass
    source.send("A", 3)
    assert sink.numbers("A", 3) == [0, 1, 2]
    bad.close(linger=0)


def test_the_longest_subscription_that_is_legal_passes(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True)
    topic = "A" * defaults.MAX_TOPIC_BYTES
    source = Source(context, broker, topic)
    sink = Sink(context, broker, topic)
    question = ready_topic(topic, 2**53 - 1, defaults.MAX_TOPICS_PER_CLIENT)

    [sub] = sink.subs.values()
    sub.subscribe(question)

    source.wait_for(topic_prefix(topic), question)


def test_no_more_clients_are_taken_than_allowed(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(max_clients=1)
    first, second = Peer(context, broker), Peer(context, broker)
    first.register("subscriber", "A")

    second.send(second.registration("subscriber", "A"))

    assert second.receive(Error).code == messages.TOO_MANY
    first.register("subscriber", "A", session=first.session)
    assert first.heartbeat().known
    first.disconnect()
    second.register("subscriber", "A")


def test_a_client_that_left_before_its_answer_harms_nobody(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run()
    for _ in range(20):
        hasty = Peer(context, broker)
        hasty.status()
        for _ in range(20):
            hasty.send(StatusRequest(id=1))
        hasty.dealer.close(linger=0)

    assert Peer(context, broker).register("publisher", "A").session >= 0


def test_a_crowd_gets_all_its_answers(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(max_clients_per_address=300)
    crowd = [Peer(context, broker) for _ in range(300)]
    for number, peer in enumerate(crowd):
        peer.send(peer.registration("publisher", "A", address=f"{HOST}:{number + 1}"))

    sessions = {peer.receive(Registered).session for peer in crowd}

    assert len(sessions) == 300
    assert len(crowd[0].status().clients) == 300


def test_a_client_that_does_not_read_is_disconnected_and_named(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(address_limits, "_STATUS_BYTES_PER_S", 2**30)
    broker = run()
    lazy = Peer(context, broker)
    lazy.dealer.close(linger=0)
    lazy.dealer = context.socket(zmq.DEALER)
    lazy.dealer.rcvhwm = 1
    lazy.dealer.rcvbuf = 65536
    lazy.dealer.linger = 0
    lazy.dealer.connect(f"tcp://{HOST}:{broker.port}")
    # A status of about 200 kB, for a client with long topics.
    topics = [f"{number:0>200}" for number in range(1000)]
    lazy.send(lazy.registration("publisher", *topics))
    for number in range(60):
        lazy.send(StatusRequest(id=number))

    wait_for(lambda: "does not read its messages" in caplog.text)

    assert f"{HOST}: disconnected: port " in caplog.text
    # Others are served, and nothing is held for it any more.
    assert len(Peer(context, broker).status().clients) == 1
    assert parts_of(broker).control_socket.held_bytes < 2**20


def test_an_answer_that_would_be_too_long_is_an_error(
    context: zmq.Context[zmq.Socket[bytes]], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "REPLY_BYTES", 10_000)
    broker = run()
    publisher = Peer(context, broker)
    publisher.register("publisher", *[f"{number:0>200}" for number in range(100)])
    subscriber = Peer(context, broker)

    subscriber.send(subscriber.registration("subscriber", "#"))

    error = subscriber.receive(Error)
    assert error.code == messages.TOO_MANY
    assert "narrower" in error.detail


def test_joins_and_leaves_are_logged_once_each(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pubsub_broker")
    peer = Peer(context, run())
    peer.register("publisher", "A", "B")
    peer.register("publisher", "A", "B", session=peer.session)
    peer.disconnect()
    peer.send(b"nonsense")
    peer.receive(Error)
    peer.status()

    said = [record.getMessage() for record in caplog.records][1:]
    assert said[:3] == [
        f"publisher {HOST}:1 joined: A, B",
        f"publisher {HOST}:1 rejoined: A, B",
        f"publisher {HOST}:1 left",
    ]
    assert said[3].startswith("rejected: not a message of this protocol")
    assert len(said) == 4


def test_a_client_that_adds_and_removes_topics_neither_left_nor_joined(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pubsub_broker")
    peer = Peer(context, run())
    peer.register("publisher")
    peer.register("publisher", "A", session=peer.session)
    peer.register("publisher", "A", "B", session=peer.session)
    peer.register("publisher", "B", session=peer.session)
    peer.disconnect()

    assert [record.getMessage() for record in caplog.records][1:] == [
        f"publisher {HOST}:1 joined: no topics yet",
        f"publisher {HOST}:1 added topics: A",
        f"publisher {HOST}:1 added topics: B",
        f"publisher {HOST}:1 removed topics: A",
        f"publisher {HOST}:1 left",
    ]


def test_of_many_topics_the_log_names_some(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pubsub_broker")
    topics = [f"T{number}" for number in range(4096)]
    peer = Peer(context, run())
    peer.register("publisher", *topics)
    peer.status()  # after its log line

    [said] = [line for line in caplog.messages if "joined" in line]
    assert said.endswith(f"{', '.join(topics[:20])}, and 4076 more")


def test_clients_are_told_when_the_broker_ends(
    context: zmq.Context[zmq.Socket[bytes]], centralized: bool
) -> None:
    with Broker(centralized, True, bind=HOST, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        peer = Peer(context, broker)
        peer.register("subscriber", "A")
        broker.stop()
        loop.join()

    assert peer.receive(Farewell)


def test_each_broker_has_an_epoch_of_its_own(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    epochs = {Peer(context, run()).status().epoch for _ in range(3)}

    assert len(epochs) == 3


# A limited number of events, decentralized


def test_a_limited_registry_ends_after_so_many_arrivals_and_departures(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(indefinite=False, max_event_count=3)
    [loop] = [thread for thread in threading.enumerate() if thread.name == "loop"]
    publisher, subscriber = Peer(context, broker), Peer(context, broker)
    publisher.register("publisher", "A")
    publisher.heartbeat()
    publisher.status()
    publisher.send(b"nonsense")
    publisher.receive(Error)
    assert broker.event_count == 1
    publisher.disconnect()
    assert broker.event_count == 2

    subscriber.register("subscriber", "A")
    loop.join()

    assert broker.event_count == 3


def test_a_limited_registry_tells_the_last_news_before_it_ends(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(False, False, 2, bind=HOST, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        subscriber, publisher = Peer(context, broker), Peer(context, broker)
        subscriber.register("subscriber", "A")
        publisher.register("publisher", "A")
        loop.join()

    assert len(subscriber.receive(PublishersChanged).joined) == 1


def test_a_client_whose_lease_ends_counts_as_one_that_went(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(False, False, 2, bind=HOST, port=0, lease_s=0.05) as broker:
        peer = Peer(context, broker)
        peer.send(peer.registration("publisher", "A"))

        broker.event_loop()

        assert broker.event_count == 2


# Forwarding


@pytest.mark.parametrize("forwarders", [1, 3])
def test_events_reach_the_subscribers_of_their_topic(
    context: zmq.Context[zmq.Socket[bytes]], run: Run, forwarders: int
) -> None:
    topics = ["A", "B", "C", "D", "E"]
    broker = run(centralized=True, forwarders=forwarders)
    source = Source(context, broker, *topics)
    sink = Sink(context, broker, *topics)
    assert len(set(sink.ports.values())) <= forwarders
    source.wait_for(*map(topic_prefix, topics))

    for topic in topics:
        source.send(topic, 10)

    for number, topic in enumerate(topics):
        assert sink.numbers(topic, 10) == list(range(10 * number, 10 * number + 10))
    # A busy proxy reports its last counts.
    wait_for(lambda: sink.peer.status().forwarded == 50)


def test_topics_are_spread_over_forwarders(run: Run) -> None:
    broker = run(centralized=True, forwarders=4)
    topics = [f"topic {number}" for number in range(100)]

    ports = parts_of(broker).forwarder_pool.ports_of(topics)

    assert set(ports.values()) == set(broker.update_send_socket())
    assert ports == parts_of(broker).forwarder_pool.ports_of(topics)


def test_events_of_a_publisher_that_joins_later_arrive(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True)
    sink = Sink(context, broker, "A")

    source = Source(context, broker, "A")
    source.wait_for(topic_prefix("A"))
    source.send("A", 5)

    assert sink.numbers("A", 5) == [0, 1, 2, 3, 4]


def test_what_a_publisher_sent_before_it_left_still_arrives(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True)
    sink = Sink(context, broker, "A")
    source = Source(context, broker, "A")
    source.wait_for(topic_prefix("A"))

    source.peer.disconnect(A=1000)
    source.send("A", 1000)

    assert sink.numbers("A", 1000) == list(range(1000))


def test_one_slow_subscriber_does_not_hold_up_the_others(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True, queue_limit=1000)
    slow, quick = Sink(context, broker, "A"), Sink(context, broker, "A")
    source = Source(context, broker, "A")
    source.wait_for(topic_prefix("A"))
    Sink(context, broker, "A")
    source.send("A")
    assert slow.numbers("A", 1) == [0]
    assert quick.numbers("A", 1) == [0]

    for start in range(1, 20_001, 500):
        source.send("A", 500)
        assert quick.numbers("A", 500) == list(range(start, start + 500))


def test_a_subscribers_ready_question_reaches_the_publisher_and_is_answered(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True)
    source = Source(context, broker, "A")
    sink = Sink(context, broker, "A")
    question = ready_topic("A", sink.peer.session)
    [sub] = sink.subs.values()
    sub.subscribe(question)
    source.wait_for(topic_prefix("A"), question)

    answer = encode_ready_reply("A", sink.peer.session, source.address, 5, 0)
    source.xpub.send(answer)

    assert sub.recv() == answer


@pytest.mark.parametrize(
    "address",
    [f"{HOST}:５５５６", f"{HOST}:0", f"{HOST}:70000", "nonsense"],  # noqa: RUF001
)
def test_an_address_that_nobody_can_connect_to_does_not_end_forwarding(
    context: zmq.Context[zmq.Socket[bytes]], run: Run, address: str
) -> None:
    broker = run(centralized=True)
    bad = Peer(context, broker)
    bad.send(bad.registration("publisher", "A", address=address))
    assert bad.receive(Error).code == messages.BAD_ADDRESS

    source, sink = Source(context, broker, "A"), Sink(context, broker, "A")
    source.wait_for(topic_prefix("A"))
    source.send("A", 3)

    assert sink.numbers("A", 3) == [0, 1, 2]


# A limited number of events, centralized


def drive(broker: Broker, until: Callable[[], bool]) -> None:
    """Run the loop's body in this thread until the condition holds."""
    for index in itertools.count():
        if until():
            return
        # So that the loop turns when nothing happens.
        parts_of(broker).waker.wake()
        broker.parse_events(index)


def served(broker: Broker, work: Callable[[], Any]) -> Any:
    """The result of ``work``, which needs the broker to answer meanwhile."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    drive(broker, lambda: not thread.is_alive())
    thread.join()
    return results[0]


@pytest.mark.parametrize(("limit", "forwarders"), [(1, 1), (25, 1), (25, 3)])
def test_a_limited_broker_forwards_exactly_so_many_events(
    context: zmq.Context[zmq.Socket[bytes]], limit: int, forwarders: int
) -> None:
    topics = ["A", "B", "C", "D"]
    with Broker(True, False, limit, bind=HOST, port=0, forwarders=forwarders) as broker:
        source = served(broker, lambda: Source(context, broker, *topics))
        sink = served(broker, lambda: Sink(context, broker, *topics))
        served(broker, lambda: source.wait_for(*map(topic_prefix, topics)))
        for topic in topics * limit:
            source.send(topic)

        broker.event_loop()

        assert broker.event_count == limit
    received = 0
    for sub in sink.subs.values():
        sub.rcvtimeo = SILENCE_MS
        with contextlib.suppress(zmq.Again):
            while True:
                sub.recv()
                received += 1
    assert received == limit


def test_handshakes_and_nonsense_pass_a_limited_broker_uncounted(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(True, False, 2, bind=HOST, port=0) as broker:
        source = served(broker, lambda: Source(context, broker, "A"))
        sink = served(broker, lambda: Sink(context, broker, "A"))
        [sub] = sink.subs.values()
        question = ready_topic("A", sink.peer.session)
        sub.subscribe(question)
        served(broker, lambda: source.wait_for(topic_prefix("A"), question))
        answer = encode_ready_reply("A", sink.peer.session, source.address, 5, 0)
        source.xpub.send(answer)
        source.send("A")
        source.xpub.send(b"A\0nonsense")
        source.send("A")

        broker.event_loop()

        assert broker.event_count == 2
        assert served(broker, sink.peer.status).forwarded == 2
    assert sub.recv() == answer
    assert decode_event(sub.recv()).sequence == 0
    assert sub.recv() == b"A\0nonsense"
    assert decode_event(sub.recv()).sequence == 1


# Waiting for slow subscribers


BULK = bytes(20_000)


class SlowSink(Sink):
    """A subscriber with small queues that reads on request."""

    def _socket(
        self, context: zmq.Context[zmq.Socket[bytes]], port: TopicPort
    ) -> zmq.Socket[bytes]:
        sub = context.socket(zmq.SUB)
        sub.rcvtimeo = WAIT_MS
        sub.rcvhwm = 1
        sub.rcvbuf = 65536
        sub.connect(f"tcp://{HOST}:{port}")
        return sub


def wait_for_subscription(source: Source, *sinks: Sink) -> None:
    """Until the publisher has received these subscriptions: over one connection they
    come in order, so each subscriber adds a unique one."""
    for sink in sinks:
        marker = b"marker %d" % sink.peer.session
        for sub in sink.subs.values():
            sub.subscribe(marker)
        source.wait_for(marker)


def send_bulk(source: Source, count: int = 1500) -> None:
    """Publish more than all buffers hold."""
    for number in itertools.islice(source.sequence, count):
        source.xpub.send(
            encode_event("A", source.address, source.peer.session, number, 0, BULK)
        )


def is_stuck(broker: Broker) -> bool:
    """Whether one message has been held for a while, and not only because libzmq's
    thread was about to pass on others."""
    held = parts_of(broker).forwarder_pool.held()
    return any(time.monotonic() - since > 0.3 for _, since in held)


def hold_up(source: Source, broker: Broker) -> int:
    """Publish until the broker waits for a subscriber; returns the number of events."""
    send_bulk(source)
    wait_for(lambda: is_stuck(broker))
    return 1500


def test_blocking_loses_nothing_for_a_slow_subscriber(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True, overflow="block", queue_limit=10)
    source = Source(context, broker, "A")
    slow, quick = SlowSink(context, broker, "A"), Sink(context, broker, "A")
    wait_for_subscription(source, slow, quick)
    count = hold_up(source, broker)

    assert quick.peer.status().forwarded < count
    assert slow.numbers("A", count) == list(range(count))
    assert quick.numbers("A", count) == list(range(count))
    wait_for(lambda: quick.peer.status().forwarded == count)


def test_the_broker_serves_its_clients_while_it_waits(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True, overflow="block", queue_limit=10)
    source = Source(context, broker, "A")
    slow = SlowSink(context, broker, "A")
    source.wait_for(topic_prefix("A"))
    count = hold_up(source, broker)

    late, sink = Source(context, broker, "B"), Sink(context, broker, "B")
    # The broker has connected to it, and the subscription has arrived.
    late.wait_for(topic_prefix("B"))
    source.wait_for(topic_prefix("B"))
    assert slow.peer.heartbeat().known
    late.send("B", 3)

    assert parts_of(broker).forwarder_pool.held()
    assert slow.numbers("A", count) == list(range(count))
    assert sink.numbers("B", 3) == [0, 1, 2]


@pytest.mark.parametrize("linger_s", [0.0, 0.2])
def test_a_broker_that_waits_can_be_stopped(
    context: zmq.Context[zmq.Socket[bytes]], linger_s: float
) -> None:
    left = Leftovers()
    options: dict[str, Any] = {"overflow": "block", "queue_limit": 10}
    with Broker(True, True, bind=HOST, port=0, linger_s=linger_s, **options) as it:
        loop = threading.Thread(target=it.event_loop)
        loop.start()
        source = Source(context, it, "A")
        slow = SlowSink(context, it, "A")
        source.wait_for(topic_prefix("A"))
        hold_up(source, it)

        it.stop()
        loop.join()

    assert slow.peer.receive(Farewell)
    assert not [name for name in left.threads() if name.startswith("forwarder")]


def test_a_subscriber_that_does_not_read_and_dies_is_not_waited_for(
    context: zmq.Context[zmq.Socket[bytes]], run: Run
) -> None:
    broker = run(centralized=True, overflow="block", queue_limit=10)
    source = Source(context, broker, "A")
    slow, quick = SlowSink(context, broker, "A"), Sink(context, broker, "A")
    wait_for_subscription(source, slow, quick)
    count = hold_up(source, broker)

    for sub in slow.subs.values():
        sub.close(linger=0)

    assert quick.numbers("A", count) == list(range(count))


def test_the_log_names_the_subscriber_that_holds_up_forwarding(
    context: zmq.Context[zmq.Socket[bytes]],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # No line while libzmq's thread is only late: the blocked one could be the fast
    # subscriber.
    monkeypatch.setattr(event_log, "_STALL_S", math.inf)
    broker = run(centralized=True, overflow="block", queue_limit=10)
    source = Source(context, broker, "A")
    slow = SlowSink(context, broker, "A")
    Sink(context, broker, "A")
    source.wait_for(topic_prefix("A"))
    hold_up(source, broker)
    monkeypatch.setattr(event_log, "_STALL_S", 0.01)

    def said() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        return [line for line in lines if line.startswith("forwarding waits")]

    wait_for(said)
    for _ in range(20):
        slow.peer.heartbeat()  # turns of the broker's loop

    [line] = said()
    found = re.search(r"the subscriber at 127\.0\.0\.1:(\d+) is not reading", line)
    assert found, line
    table = Path("/proc/net/tcp").read_text()
    [port] = slow.ports.values()
    assert f":{int(found[1]):04X} 0100007F:{port:04X}" in table


def test_a_limited_broker_that_waits_forwards_exactly_so_many_events(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    limit = 1500
    options: dict[str, Any] = {"overflow": "block", "queue_limit": 10}
    with Broker(True, False, limit, bind=HOST, port=0, **options) as broker:
        source = served(broker, lambda: Source(context, broker, "A"))
        slow = served(broker, lambda: SlowSink(context, broker, "A"))
        served(broker, lambda: source.wait_for(topic_prefix("A")))
        send_bulk(source, limit + 10)
        drive(broker, lambda: is_stuck(broker))
        assert broker.event_count < limit
        assert served(broker, slow.peer.status).forwarded == broker.event_count

        numbers: list[int] = []
        reader = threading.Thread(
            target=lambda: numbers.extend(slow.numbers("A", limit))
        )
        reader.start()
        broker.event_loop()
        assert broker.event_count == limit
    reader.join()

    assert numbers == list(range(limit))
    [sub] = slow.subs.values()
    assert not sub.poll(SILENCE_MS)


# Internal errors


def test_forwarders_can_look_a_publisher_up_before_it_is_told_to_begin(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Broker(True, True, bind=HOST, port=0) as broker:
        book, send = (
            parts_of(broker).forwarder_pool._publishers,
            parts_of(broker).control_socket.send,
        )
        known: list[bool] = []

        def spy(peer: bytes, reply: Any) -> None:
            if peer:
                known.append(book.get(f"{HOST}:1") is not None)
            send(peer, reply)

        monkeypatch.setattr(parts_of(broker).control_socket, "send", spy)
        subscriber, peer = Peer(context, broker), Peer(context, broker)
        broker.register_sub(subscriber.registration("subscriber", "A"))
        peer.send(peer.registration("publisher", "A"))
        while not known:
            broker.parse_events(0)

        assert known == [True]


def test_a_forwarder_that_fails_ends_the_loop_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_arguments: Any) -> None:
        raise ValueError("broken")

    for overflow in ("drop", "block"):
        broker = Broker(
            True, True, bind=HOST, port=0, overflow=overflow, lease_s=LONG_LEASE_S
        )
        with broker:
            monkeypatch.setattr(
                parts_of(broker).forwarder_pool.socket_sets[0], "apply", fail
            )
            parts_of(broker).forwarder_pool.expect(Attach("127.0.0.1:1", ("A",)))
            with pytest.raises(PubSubError, match=r"forwarding has failed.*broken"):
                broker.event_loop()


def test_an_error_in_a_handler_ends_the_loop_and_is_raised(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> Any:
        raise ValueError("broken")

    with Broker(indefinite=True, bind=HOST, port=0) as broker:
        peer = Peer(context, broker)
        monkeypatch.setattr(parts_of(broker).core, "heartbeat", fail)
        peer.send(Heartbeat(id=1, session=1))

        with pytest.raises(ValueError, match="broken"):
            broker.event_loop()


# Methods that programs may call


def test_there_is_nothing_to_register_without_a_request() -> None:
    with Broker(bind=HOST, port=0) as broker:
        for method in (broker.register_sub, broker.register_pub):
            with pytest.raises(PubSubError, match="no request"):
                method()


def test_a_program_may_register_clients(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(bind=HOST, port=0) as broker:
        peer = Peer(context, broker)
        publisher = peer.registration("publisher", "A")
        subscriber = peer.registration("subscriber", "A")
        for method, other in (
            (broker.register_sub, publisher),
            (broker.register_pub, subscriber),
        ):
            with pytest.raises(PubSubError, match="no request"):
                method(other)

        broker.register_sub(subscriber)
        broker.register_pub(publisher)

        clients = served(broker, peer.status).clients
        assert {client.role for client in clients} == {"subscriber", "publisher"}


def test_there_is_nothing_to_send_without_an_event() -> None:
    for indefinite in (False, True):
        with Broker(True, indefinite, bind=HOST, port=0) as broker:
            assert not broker.send("A")


def test_a_program_may_forward_one_event(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(True, False, 2, bind=HOST, port=0) as broker:
        source = served(broker, lambda: Source(context, broker, "A", "B"))
        sink = served(broker, lambda: Sink(context, broker, "A", "B"))
        served(broker, lambda: source.wait_for(topic_prefix("A"), topic_prefix("B")))
        for topic in ("A", "B", "A"):
            source.send(topic)

        wait_for(lambda: broker.send("A"))
        assert broker.event_count == 1
        wait_for(lambda: not broker.send("A") and broker.send("B"))

        assert not broker.send("A"), "as many as there may be were forwarded"
        assert broker.event_count == 2
        assert sink.numbers("A", 1) == [0]
        assert sink.numbers("B", 1) == [1]


def test_a_program_may_forget_a_client(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with Broker(indefinite=True, bind=HOST, port=0) as broker:
        publisher, subscriber = Peer(context, broker), Peer(context, broker)
        served(broker, lambda: publisher.register("publisher", "A"))
        served(broker, lambda: subscriber.register("subscriber", "A"))

        broker.disconnect_pub(Disconnect(id=0, session=publisher.session))
        broker.disconnect_sub(Disconnect(id=0, session=subscriber.session))

        status = served(broker, subscriber.status)
        assert status.clients == []
        assert broker.event_count == 4


def test_a_program_may_hurry_notifications(
    context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pubsub_broker.control.notifications.NOTIFY_DELAY_S", 3600.0)
    with Broker(indefinite=True, bind=HOST, port=0) as broker:
        publisher, subscriber = Peer(context, broker), Peer(context, broker)
        served(broker, lambda: subscriber.register("subscriber", "A"))
        served(broker, lambda: publisher.register("publisher", "A"))
        broker.notify_subscribers(["B"], f"{HOST}:1")
        broker.notify_subscribers(["A"], f"{HOST}:1", subscriber.session + 1)
        assert not subscriber.dealer.poll(SILENCE_MS)

        broker.notify_subscribers(["A"], f"{HOST}:1", subscriber.session)

        assert len(subscriber.receive(PublishersChanged).joined) == 1


def test_the_end_of_a_with_block_ends_a_loop_in_another_thread() -> None:
    with Broker(indefinite=True, port=0) as broker:
        loop = threading.Thread(target=broker.event_loop)
        loop.start()
        wait_for(lambda: broker._runtime._thread == loop.ident)

    loop.join(WAIT_MS / 1000)
    assert not loop.is_alive()


def test_many_forwarders_have_a_port_each() -> None:
    class Listener:
        def bind(self, host: str, port: int) -> None:
            pass

    ports = ClearPorts().some(HOST, 50)

    assert len({bind_next(Listener(), HOST, ports) for _ in range(50)}) == 50

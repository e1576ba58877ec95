"""Accepted subscriptions, over real sockets: no client gets or ends another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.protocol.events import ready_topic, topic_prefix
from pubsub_common.protocol.recovery_messages import (
    RecoveryRequest,
    position_prefix,
    recovery_topic,
)
from pubsub_common.security.keys import (
    KeyPair,
    configure_curve_client,
    configure_curve_server,
    new_key_pair,
)
from pubsub_common.security.subscription_guard import SubscriptionGuard, topic_of
from pubsub_common.security.zap_server import ZapServer

WAIT_S = 60

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
numbers = st.integers(0, 2**53 - 1)


@given(names, numbers)
def test_each_kind_of_subscription_has_its_topic(name: str, number: int) -> None:
    question = RecoveryRequest(name, number, number, 0, number, 3)

    assert topic_of(topic_prefix(name)) == name
    assert topic_of(ready_topic(name, number)) == name
    assert topic_of(ready_topic(name, number, 7)) == name
    assert topic_of(recovery_topic(question)) == name
    assert topic_of(position_prefix(name)) == name


@given(names, numbers, st.data())
def test_a_part_of_one_has_none(name: str, number: int, data: st.DataObject) -> None:
    """It would bring the events of other topics, or answers to others, as well."""
    whole = data.draw(
        st.sampled_from(
            [topic_prefix(name), ready_topic(name, number), position_prefix(name)]
        )
    )
    length = data.draw(st.integers(0, len(whole) - 1))

    assert topic_of(whole[:length]) is None


@given(st.binary(max_size=80))
def test_anything_may_come(raw: bytes) -> None:
    topic = topic_of(raw)

    assert topic is None or topic.encode() in raw


class Bench:
    """A guarded XPUB, and subscribers with keys; ``a`` may have A and ``b`` B."""

    def __init__(self, queue_limit: int = 1000) -> None:
        # Its own, as the server of handshakes ends with it, by itself.
        self.context = new_context()
        self.sockets: list[zmq.Socket[bytes]] = []
        self.pair = new_key_pair()
        self.clients = {name: new_key_pair() for name in ("a", "b")}
        self.refused: list[tuple[str, str]] = []
        ZapServer(self.context, lambda _key, _address: True)
        self.xpub = self._socket(zmq.XPUB)
        self.xpub.set_hwm(queue_limit)
        configure_curve_server(self.xpub, self.pair)
        self.guard = SubscriptionGuard(
            self.xpub,
            self.permits,
            lambda key, what, _: self.refused.append((key, what)),
        )
        port = self.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"

    def permits(self, key: str, topic: str) -> bool:
        owner = next(name for name, pair in self.clients.items() if pair.public == key)
        return topic[:1].lower() == owner

    def connect(self, name: str, kind: int = zmq.SUB) -> Any:
        socket = self._socket(kind)
        socket.rcvtimeo = WAIT_S * 1000
        configure_curve_client(socket, self.clients[name], self.pair.public)
        socket.connect(self.address)
        return socket

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        self.sockets.append(self.context.socket(kind))
        return self.sockets[-1]

    def close(self) -> None:
        for socket in self.sockets:
            socket.close(linger=0)
        terminate_context(self.context)

    def told(self, count: int) -> list[bytes]:
        found: list[bytes] = []

        def enough() -> bool:
            while (message := self.guard.receive()) is not None:
                found.append(message)
            return len(found) >= count

        self.wait_until(enough)
        assert len(found) == count
        return found

    def wait_until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline
            self.xpub.poll(5)
            for socket in self.sockets:  # otherwise it does not subscribe again
                if not socket.closed:
                    socket.get(zmq.EVENTS)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_who_may_gets_events(bench: Bench) -> None:
    sub = bench.connect("a")
    sub.subscribe(b"A\0")

    assert bench.told(1) == [b"\1A\0"]
    bench.xpub.send(b"A\0event")

    assert sub.recv() == b"A\0event"


@pytest.mark.parametrize("subscription", [b"A\0", b"", b"B", b"\xff", b"A\0B\0"])
def test_a_subscriber_without_the_right_is_disconnected(
    bench: Bench, subscription: bytes
) -> None:
    rogue, honest = bench.connect("b"), bench.connect("a")
    honest.subscribe(b"A\0")
    assert bench.told(1) == [b"\1A\0"]
    rogue.subscribe(subscription)

    bench.wait_until(lambda: bench.guard.receive() or bench.refused)
    bench.xpub.send(b"A\0event")

    assert bench.refused[0][0] == bench.clients["b"].public
    assert honest.recv() == b"A\0event"
    assert not rogue.poll(50)


def test_subscriptions_of_several_are_told_once(bench: Bench) -> None:
    first, second = bench.connect("a"), bench.connect("a")
    first.subscribe(b"A\0")
    assert bench.told(1) == [b"\1A\0"]
    second.subscribe(b"A\0")
    second.subscribe(b"A2\0")
    assert bench.told(1) == [b"\1A2\0"]

    first.unsubscribe(b"A\0")
    first.subscribe(b"A3\0")
    assert bench.told(1) == [b"\1A3\0"]
    bench.xpub.send(b"A\0event")
    assert second.recv() == b"A\0event"
    second.close(linger=0)

    assert sorted(bench.told(2)) == [b"\0A\0", b"\0A2\0"]


def test_nobody_ends_anothers_subscription(bench: Bench) -> None:
    """Neither by ending it without having it, nor by a refused one that ends."""
    honest, rogue = bench.connect("a"), bench.connect("a", zmq.XSUB)
    honest.subscribe(b"A\0")
    assert bench.told(1) == [b"\1A\0"]
    rogue.send(b"\0A\0")
    rogue.send(b"\0A\0")
    rogue.send(b"\1A\0")
    rogue.send(b"\1A\0")
    rogue.send(b"\1Aend\0")
    assert bench.told(1) == [b"\1Aend\0"]
    rogue.close(linger=0)
    assert bench.told(1) == [b"\0Aend\0"]
    for _ in range(3):
        stranger = bench.connect("b")
        stranger.subscribe(b"A\0")
        bench.wait_until(lambda: bench.guard.receive() or bench.refused)
        bench.refused.clear()
        stranger.close(linger=0)

    bench.xpub.send(b"A\0event")

    assert bench.guard.receive() is None
    assert honest.recv() == b"A\0event"


def test_a_disconnected_subscriber_is_judged_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sub = bench.connect("a")
    sub.subscribe(b"A\0")
    assert bench.told(1) == [b"\1A\0"]
    monkeypatch.setattr(bench.guard, "_permits", lambda _key, _topic: False)

    bench.guard.recheck([bench.clients["a"].public])

    assert bench.told(1) == [b"\0A\0"]
    bench.wait_until(lambda: bench.guard.receive() or bench.refused)
    bench.xpub.send(b"A\0event")
    assert not sub.poll(50)


def test_who_may_still_have_all_that_it_has_misses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, gone = bench.connect("a"), bench.connect("a")
    here.subscribe(b"A\0")
    gone.subscribe(b"A\0")
    gone.subscribe(b"A2\0")
    assert sorted(bench.told(2)) == sorted([b"\1A2\0", b"\1A\0"])
    both = {b"A\0": 2, b"A2\0": 1}
    bench.wait_until(lambda: bench.guard.receive() or bench.guard._counts == both)
    monkeypatch.setattr(bench.guard, "_permits", lambda _key, topic: topic == "A")

    bench.guard.recheck([bench.clients["a"].public])

    bench.xpub.send(b"A\0event")
    assert here.poll(WAIT_S * 1000)
    assert here.recv() == b"A\0event"
    assert bench.told(1) == [b"\0A2\0"]


def test_keys_are_shown_without_their_secret() -> None:
    assert "secret" not in repr(KeyPair("public key", "a secret key"))


def test_the_shortest_queue_lets_subscriptions_in() -> None:
    bench = Bench(queue_limit=1)
    sub = bench.connect("a")
    for number in range(5):
        sub.subscribe(b"A%d\0" % number)

    assert bench.told(5) == [b"\1A%d\0" % number for number in range(5)]
    bench.close()

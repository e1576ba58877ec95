"""The guard of a port: connections that it closes, on real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import zmq

from pubsub_common.limits.port_limits import (
    PortLimits,
    Subscriptions,
    limits_of_port,
    needed_for,
)
from pubsub_common.protocol.forwarder_mark import forwarder_mark, named_in
from pubsub_common.protocol.messages import Demand
from pubsub_common.security.connections import connection_of
from pubsub_common.security.port_guard import PortGuard
from pubsub_common.testing import wait_for

WAIT_S = 60.0
# More than anybody else may subscribe to, even while the broker is asked.
FORWARDED = 30_000
# The beginning of ZeroMQ's; an unknown mechanism follows.
GREETING = b"\xff" + 8 * b"\0" + b"\x7f\x03"
# Revision 1 is ZMTP 2.0, 2 a SUB socket; then an empty name.
ZMTP2_GREETING = b"\xff" + 7 * b"\0" + b"\x01\x7f" + b"\x01\x02" + b"\0\0"


class GuardedPort:
    """An XPUB socket that a thread of its own serves, as a publisher's control thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], limits: PortLimits):
        self.socket = context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.guard = PortGuard(self.socket, limits, name="guard", secure=False)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.guard.start()
        self.seen: set[bytes] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ending.is_set():
            if not self.socket.poll(10):
                continue
            frame = self.socket.recv(copy=False)
            message = frame.bytes
            if message[:1] == b"\1":
                self.seen.add(message[1:])
                self.guard.introduce(message[1:], connection_of(frame))
            else:
                self.seen.discard(message[1:])

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.guard.close()
        self.socket.close()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def limits() -> PortLimits:
    return limits_of_port(100, secure=False)


@pytest.fixture
def port(
    context: zmq.Context[zmq.Socket[bytes]], limits: PortLimits
) -> Iterator[GuardedPort]:
    made = GuardedPort(context, limits)
    yield made
    made.close()


class Peer:
    """An XSUB socket that is connected to a port, and does not come back."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], port: int) -> None:
        self.socket = context.socket(zmq.XSUB)
        self.socket.linger = 0
        self.socket.sndhwm = 0
        self.socket.reconnect_ivl = -1
        self._monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def subscribe(self, count: int, size: int) -> None:
        for number in range(count):
            self.socket.send(b"\1%08d" % number + b"x" * (size - 8))

    def disconnected(self, timeout_s: float = 0.0) -> bool:
        return bool(self._monitor.poll(round(timeout_s * 1000)))

    def close(self) -> None:
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close()


@pytest.fixture
def peer(context: zmq.Context[zmq.Socket[bytes]], port: GuardedPort) -> Iterator[Peer]:
    made = Peer(context, port.port)
    yield made
    made.close()


@pytest.mark.parametrize("size", [8, 240])
def test_a_flood_of_subscriptions_ends_its_connection(
    context: zmq.Context[zmq.Socket[bytes]],
    port: GuardedPort,
    peer: Peer,
    size: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    honest = Peer(context, port.port)
    honest.subscribe(20, 20)
    wait_for(lambda: len(port.seen) == 20, "honest subscriptions", WAIT_S)
    peer.subscribe(60_000, size)

    assert peer.disconnected(WAIT_S)
    wait_for(lambda: len(port.seen) == 20, "the end of the flood's", WAIT_S)
    assert not honest.disconnected()
    wait_for(lambda: "too many subscriptions" in caplog.text, "a line about it", WAIT_S)
    assert f"127.0.0.1: its connection to port {port.port} was closed" in caplog.text
    honest.close()


def test_a_subscriber_that_has_declared_its_topics_is_served(
    port: GuardedPort, peer: Peer
) -> None:
    needed = needed_for(15_000, 15_000 * 30)
    port.guard.meet(Demand(needed.number, needed.size))
    peer.subscribe(15_000, 30)

    wait_for(lambda: len(port.seen) == 15_000, "all subscriptions", WAIT_S)
    assert not peer.disconnected()


def test_a_forwarder_is_served(port: GuardedPort, peer: Peer) -> None:
    mark = forwarder_mark("0123456789abcdef", 0)
    peer.socket.send(b"\1" + mark)
    wait_for(lambda: mark in port.seen, "the mark", WAIT_S)
    port.guard.meet(Demand(forwarders=["fedcba9876543210", "0123456789abcdef"]))
    peer.subscribe(FORWARDED, 30)

    wait_for(lambda: len(port.seen) == FORWARDED + 1, "all subscriptions", WAIT_S)
    assert not peer.disconnected()


def test_a_forwarder_of_another_broker_is_served_when_the_broker_knows_it(
    port: GuardedPort, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[Subscriptions] = []
    budget = port.guard._budget
    declare = budget.declare

    def spy(declared: Subscriptions, now: float) -> bool:
        turns.append(declared)
        return declare(declared, now)

    monkeypatch.setattr(budget, "declare", spy)
    peer.socket.send(b"\1" + forwarder_mark("0123456789abcdef", 0))
    wait_for(lambda: len(port.seen) == 1, "its introduction", WAIT_S)
    port.guard.meet(Demand(1, 1, ["fedcba9876543210"]))
    wait_for(lambda: Subscriptions(1, 1) in turns, "a look of the guard", WAIT_S)

    port.guard.meet(Demand(2, 2, ["fedcba9876543210", "0123456789abcdef"]))
    wait_for(lambda: Subscriptions(2, 2) in turns, "another look", WAIT_S)
    peer.subscribe(FORWARDED, 30)

    wait_for(lambda: len(port.seen) == FORWARDED + 1, "all subscriptions", WAIT_S)
    assert not peer.disconnected()


def test_the_name_of_another_forwarder_is_none() -> None:
    assert named_in(forwarder_mark("ab", 3)) == "ab"
    assert named_in(b"\0forwarder ") == ""
    assert named_in(b"topic\0") is None


def test_what_is_no_zeromq_ends_its_connection(port: GuardedPort) -> None:
    with socket.create_connection(("127.0.0.1", port.port)) as connection:
        connection.settimeout(WAIT_S)
        with pytest.raises(ConnectionError):
            connection.sendall(GREETING + b"\x55" * 65_536_000)


@pytest.mark.parametrize(
    # The honest one takes less for its handshake, on the busiest machine.
    "limits",
    [PortLimits(connections=100, handshake_bytes=92, first_s=3.0)],
)
def test_who_subscribes_to_nothing_is_disconnected(
    context: zmq.Context[zmq.Socket[bytes]], port: GuardedPort, peer: Peer
) -> None:
    honest = Peer(context, port.port)
    honest.subscribe(1, 8)
    with socket.create_connection(("127.0.0.1", port.port)) as silent:
        silent.settimeout(WAIT_S)
        while silent.recv(64):
            pass  # the greeting, and then the end

    assert peer.disconnected(WAIT_S)
    assert not honest.disconnected(0.5)
    honest.close()


@pytest.mark.parametrize(
    "limits", [PortLimits(connections=100, handshake_bytes=92, first_s=1.0)]
)
def test_who_subscribes_by_zmtp_2_stays(port: GuardedPort, peer: Peer) -> None:
    """As JeroMQ of Debian does, and libzmq 3."""
    with socket.create_connection(("127.0.0.1", port.port)) as old:
        old.settimeout(WAIT_S)
        old.sendall(ZMTP2_GREETING + b"\0\3\1A\0")
        wait_for(lambda: b"A\0" in port.seen)
        while not peer.disconnected(WAIT_S):  # which came before it, and is silent
            pass

        wait_for(lambda: not port.guard._budget._silent)
        old.sendall(b"\0\3\1B\0")
        wait_for(lambda: b"B\0" in port.seen)


@pytest.mark.parametrize("limits", [PortLimits(connections=3, handshake_bytes=92)])
def test_an_address_has_only_so_many_connections(port: GuardedPort) -> None:
    connections = [socket.create_connection(("127.0.0.1", port.port)) for _ in range(4)]
    connections[3].settimeout(WAIT_S)
    while connections[3].recv(64):
        pass
    for connection in connections[:3]:
        connection.setblocking(False)
        assert connection.recv(64)  # the greeting
        with pytest.raises(BlockingIOError):
            connection.recv(64)
    for connection in connections:
        connection.close()


def test_a_guard_that_has_not_begun_can_be_closed(
    context: zmq.Context[zmq.Socket[bytes]], limits: PortLimits
) -> None:
    with context.socket(zmq.XPUB) as watched:
        PortGuard(watched, limits, name="guard", secure=False).close()

"""A data port with a slow owner: subscriptions arrive from connections that are closed.

A guard identifies the owner of a subscription by its connection; so here a client might
end another client's subscription.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import zmq
from support.attack_rows import attack
from support.attack_tools import ADMITTED, DISCONNECTED, Wire

from pubsub_common.security.keys import configure_curve_server, new_key_pair
from pubsub_common.security.subscription_guard import SubscriptionGuard
from pubsub_common.security.zap_server import ZapServer
from pubsub_common.testing import wait_for

OPEN = b"open\0"


class Port:
    """An XPUB socket with a guard, which is read only when the test does it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.pair = new_key_pair()
        context = zmq.Context()
        stack.callback(context.term)
        ZapServer(context, lambda _key, _address: True)
        self._xpub = context.socket(zmq.XPUB)
        self._xpub.linger = 0
        configure_curve_server(self._xpub, self.pair)
        self.guard = SubscriptionGuard(self._xpub, lambda _key, topic: topic == "open")
        self._monitor = self._xpub.get_monitor_socket()
        self.port = self._xpub.bind_to_random_port("tcp://127.0.0.1")
        self._seen: list[int] = []
        self.told: list[bytes] = []
        self._clients = zmq.Context()
        stack.callback(self._clients.term)
        stack.callback(self._close)

    def client(self) -> Wire:
        """A connected client."""
        wire = Wire(self._clients, zmq.XSUB, new_key_pair(), self.pair.public)
        self._stack.callback(wire.close)
        wire.connect(self.port)
        wire.wait_for(ADMITTED)
        return wire

    def read(self) -> None:
        while (message := self.guard.receive()) is not None:
            self.told.append(message)

    def wait_until_told(self, message: bytes) -> None:
        def told() -> bool:
            self.read()
            return message in self.told

        wait_for(told, f"{message!r}")

    def wait_until_gone(self, count: int) -> None:
        """This many connections have closed; nothing is read meanwhile."""

        def gone() -> bool:
            with contextlib.suppress(zmq.Again):
                while True:
                    event = self._monitor.recv_multipart(zmq.NOBLOCK)[0]
                    self._seen.append(int.from_bytes(event[:2], "little"))
            return self._seen.count(DISCONNECTED) >= count

        wait_for(gone, f"the end of {count} connections")

    def reaches(self, wire: Wire) -> bool:
        """Whether a client still gets the topic, and the port reports it as subscribed."""
        self._xpub.send(OPEN + b"event")
        assert wire.next() == OPEN + b"event"
        return [each for each in self.told if each[1:] == OPEN][-1][:1] == b"\x01"

    def _close(self) -> None:
        self._xpub.disable_monitor()
        self._monitor.close(linger=0)
        self._xpub.close(linger=0)


@pytest.fixture
def port() -> Iterator[Port]:
    with contextlib.ExitStack() as stack:
        yield Port(stack)


@attack(
    what="ending another client's subscription from connections that close before it "
    "is read",
    got="nothing",
    model="both",
)
@pytest.mark.parametrize(
    "says",
    [
        [b"\x00" + OPEN],
        [b"\x00" + OPEN] * 5,
        [b"\x01" + OPEN, b"\x00" + OPEN, b"\x00" + OPEN, b"\x00" + OPEN],
        [b"\x01" + OPEN] * 3,
        [b"\x01secret\0", b"\x00" + OPEN],
    ],
    ids=["ends-it", "ends-it-often", "begins-and-ends-it", "begins-it-often", "denied"],
)
def test_a_connection_that_closed_before_it_is_read_ends_no_other_subscription(
    port: Port, says: list[bytes]
) -> None:
    victim = port.client()
    victim.socket.send(b"\x01" + OPEN)
    port.wait_until_told(b"\x01" + OPEN)
    for round_ in range(1, 6):
        attacker = port.client()
        for message in says:
            attacker.force(message)
        attacker.close(linger_ms=10_000)
        port.wait_until_gone(round_)
        port.read()
        assert port.reaches(victim)
    # In the end, when the victim leaves too, no subscription remains.
    victim.close()
    port.wait_until_told(b"\x00" + OPEN)


def test_a_reconnect_on_the_same_descriptor_ends_no_other_subscription(
    port: Port,
) -> None:
    victim = port.client()
    victim.socket.send(b"\x01" + OPEN)
    port.wait_until_told(b"\x01" + OPEN)
    for round_ in range(1, 11):
        attacker = port.client()
        # With its subscription known at first, later closed before it is read.
        if round_ % 2:
            attacker.socket.send(b"\x01" + OPEN)
            port.read()
        else:
            attacker.force(b"\x00" + OPEN)
        attacker.close(linger_ms=10_000)
        port.wait_until_gone(round_)
        if not round_ % 2:
            port.read()
        assert port.reaches(victim)

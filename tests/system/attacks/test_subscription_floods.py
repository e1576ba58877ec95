"""Floods of subscriptions at the ports for subscribers."""

from __future__ import annotations

import socket

import pytest
from support.attack_rows import attack
from support.attack_tools import DISCONNECTED
from support.hostile_system import HonestClients, HostileSystem
from support.rings import full_size

from pubsub_common.testing import wait_for


class _Attacked:
    """The flooded role, with an honest publisher and an honest subscriber."""

    def __init__(self, hostile: HostileSystem) -> None:
        self.broker = hostile.broker()
        self.publishers: HonestClients = hostile.publishers("A", rate=200.0)
        self.subscribers: HonestClients = hostile.subscribers("A")
        self.received()
        self.role = self.broker if hostile.centralized else self.publishers
        self.role.remember_memory()
        self.port, self.key = hostile.data_port(self.publishers)

    def received(self) -> None:
        """Events arrive."""
        before = 0

        def more() -> bool:
            nonlocal before
            before += self.subscribers.figures()["received"]
            return bool(before > 20)

        wait_for(more, "events at an honest subscriber")


@attack(
    what="endless subscriptions, long or short, at the port for subscribers",
    got="disconnected; the attacked role's memory grows by {memory}, events continue",
    bound="`SUBSCRIPTIONS`, `SUBSCRIPTION_BYTES`",
)
@pytest.mark.parametrize("size", [4, 240])
def test_a_flood_of_subscriptions(hostile: HostileSystem, size: int) -> None:
    attacked = _Attacked(hostile)
    mallory = hostile.subscriber_at(
        attacked.port, attacked.key, sndhwm=0, reconnect_ivl=-1
    )
    # A client with keys may only subscribe to topics, and to their private topics.
    begin, end = (b"\1\xffA\xff", b"") if hostile.secure else (b"\1", b"z" * (size - 4))
    for number in range(500_000 if full_size() else 30_000):
        digits = b"%014x" % number if hostile.secure else number.to_bytes(4, "big")
        mallory.socket.send(begin + digits + end)

    mallory.wait_for(DISCONNECTED)
    attacked.received()
    hostile.check_budget(attacked.role)
    assert attacked.broker.end() == 0


@attack(
    what="endless subscribing and unsubscribing",
    got="disconnected; the attacked role's memory grows by {memory}, events continue",
    bound="`QUESTION_BYTES_PER_SECOND`",
)
def test_a_loop_of_subscribing_and_unsubscribing(hostile: HostileSystem) -> None:
    attacked = _Attacked(hostile)
    mallory = hostile.subscriber_at(
        attacked.port, attacked.key, sndhwm=0, reconnect_ivl=-1
    )
    for _ in range(500_000 if full_size() else 200_000):
        mallory.socket.send(b"\1A\0")
        mallory.socket.send(b"\0A\0")

    mallory.wait_for(DISCONNECTED)
    attacked.received()
    hostile.check_budget(attacked.role)
    assert attacked.broker.end() == 0


@attack(
    what="silent connections at a data port, more than there are files",
    got="closed in time, the oldest first when files run out; honest subscribers join "
    "and receive",
    bound="`FIRST_SUBSCRIPTION_S`, open files",
)
def test_idle_connections_at_a_data_port(hostile: HostileSystem) -> None:
    attacked = _Attacked(hostile)
    count = 1200 if full_size() else 1050  # a role has 1024 files
    idle: list[socket.socket] = []
    try:
        for _ in range(count):
            idle.append(socket.create_connection(("127.0.0.1", attacked.port), 20))
        attacked.received()
        late = hostile.subscribers("A")
        wait_for(lambda: late.figures()["received"] > 0, "events at one that joins now")
    finally:
        for connection in idle:
            connection.close()
    assert attacked.broker.end() == 0

"""What one hostile client may cost those beside it."""

from __future__ import annotations

from support.hostile_system import HostileSystem, check_served
from support.running_roles import WAIT_S

from pubsub_common.testing import wait_for


def test_honest_clients_measure_how_they_are_served(hostile: HostileSystem) -> None:
    broker = hostile.broker()
    subscribers = hostile.subscribers("a/0", "a/1")
    publishers = hostile.publishers("a/0", "a/1", rate=200)
    heart = hostile.heart()
    broker.remember_memory()
    wait_for(lambda: subscribers.figures()["received"] >= 50, "events")
    figures = publishers.figures()
    assert figures["published"] >= 50
    assert 0 < figures["longest_call_s"] < 30
    received = subscribers.figures()
    assert received["lost"] == received["malformed"] == 0
    assert 0 < check_served(heart) < WAIT_S
    assert broker.grown_mib() < 128
    port, server = hostile.data_port(publishers)
    wire = hostile.subscriber_at(port, server)
    wire.socket.send(b"\x01a/0\0")
    assert wire.next().startswith(b"a/0\0")
    assert broker.end() == 0

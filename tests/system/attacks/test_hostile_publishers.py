"""The memory that a hostile publisher can make a subscriber use."""

from __future__ import annotations

import itertools

import msgspec
import zmq
from support.attack_rows import attack
from support.hostile_clients import Rogue, Scene
from support.hostile_system import BUDGET_MIB, HonestClients, HostileSystem
from support.rings import full_size
from support.running_roles import WAIT_S

from pubsub_common.protocol.batches import batch_prefix
from pubsub_common.protocol.events import topic_prefix
from pubsub_common.testing import wait_for


class Attacked:
    """A subscriber of A with an honest and a hostile publisher."""

    def __init__(self, hostile: HostileSystem, *, recover: bool) -> None:
        self.hostile = hostile
        self.broker = hostile.broker("--lease", 300)
        publishers = hostile.publishers("A", rate=200, history=1000)
        self.subscribers = hostile.subscribers("A", recover=recover)
        self.receive(20)
        self.rogue = Rogue(Scene(hostile, publishers), "A")
        socket = self.rogue.wire.socket
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.sndtimeo = round(WAIT_S * 1000)
        wanted = b"\x01" + topic_prefix("A")
        wait_for(lambda: wanted in self.rogue.wire.received(), "a subscription")
        self.subscribers.remember_memory()

    def receive(self, count: int) -> None:
        """The subscriber receives this many more events."""
        wait_received(self.subscribers, count)

    def check(self, honest_events: int = 200) -> None:
        """The honest publisher's events arrive, and the memory is bounded."""
        self.receive(honest_events)
        grown = self.subscribers.grown_mib()
        self.hostile.figures.mib("memory", grown)
        assert grown < BUDGET_MIB
        assert self.broker.end() == 0


def wait_received(subscribers: HonestClients, count: int) -> None:
    received = subscribers.figures()["received"] + count
    wait_for(
        lambda: subscribers.figures()["received"] >= received, "events", 2 * WAIT_S
    )


@attack(
    what="large events after a gap that is never filled, to a subscriber with "
    "`--recover`",
    got="held up to the bound, then requested again or reported lost; the subscriber's "
    "memory grows by {memory}",
    bound="`--recover-bytes`",
)
def test_events_behind_a_gap_that_is_never_closed(hostile: HostileSystem) -> None:
    attacked = Attacked(hostile, recover=True)
    rogue = attacked.rogue
    payload = b"x" * 100_000
    rogue.wire.socket.send(rogue.event("A", 0, b"the last in order"))

    for number in range(2, 8000 if full_size() else 1500):
        rogue.wire.socket.send(rogue.event("A", number, payload))

    attacked.check()


@attack(
    what="events of invented publishers",
    got="arrive from an open broker, but the number of remembered publishers is "
    "bounded; the subscriber's memory grows by {memory}",
    bound="`UNNAMED_STREAMS`",
)
def test_events_of_sessions_that_are_made_up(hostile: HostileSystem) -> None:
    attacked = Attacked(hostile, recover=False)
    rogue = attacked.rogue

    for session in range(1, 300_000 if full_size() else 20_000):
        rogue.wire.socket.send(rogue.event("A", 5, b"", session=session))

    attacked.check()


@attack(
    what="a frame with millions of empty events",
    got="counted as malformed; the subscriber's memory grows by {memory}",
    bound="`MAX_BATCH_EVENTS`",
)
def test_a_frame_of_millions_of_events(hostile: HostileSystem) -> None:
    attacked = Attacked(hostile, recover=False)
    rogue = attacked.rogue
    count = 5_000_000 if full_size() else 1_000_000
    body = rogue.address, rogue.session, 0, 1, [0] * count, [b""] * count
    frame = batch_prefix("A") + msgspec.msgpack.encode(body)

    for _ in itertools.repeat(None, 5):
        rogue.wire.socket.send(frame)
    wait_for(lambda: attacked.subscribers.figures()["malformed"] >= 5, "five frames")

    attacked.check()

"""Numbers with overflowing sums, topics that are hard to compare, a silent owner."""

from __future__ import annotations

import itertools
import time
from typing import Any

import zmq
from support.attack_rows import attack
from support.attack_tools import Talker
from support.hostile_system import (
    HonestClients,
    HostileSystem,
    check_served,
)
from support.rings import full_size
from support.running_roles import WAIT_S

from pubsub_common.defaults import MAX_JUMP
from pubsub_common.protocol import messages, numbers
from pubsub_common.protocol.events import encode_event
from pubsub_common.protocol.messages import (
    ClientStatus,
    Disconnect,
    Heartbeat,
    Registered,
    Status,
    StatusRequest,
)
from pubsub_common.testing import wait_for


def status(carol: Talker) -> Status:
    reply = carol.ask(StatusRequest(id=1))
    assert isinstance(reply, Status)
    return reply


def subscriber_of(told: Status, topic: str) -> ClientStatus | None:
    for client in told.clients:
        if client.role == "subscriber" and client.topics == [topic]:
            return client
    return None


def receives(bob: HonestClients) -> None:
    """Events arrive at an honest subscriber."""
    before = bob.figures()["received"]
    wait_for(lambda: bob.figures()["received"] > before, "events", WAIT_S)


def own_data_port(hostile: HostileSystem) -> tuple[zmq.Socket[bytes], str]:
    """Mallory's data port, which admits every client, and its address."""
    xpub = hostile.wire(zmq.XPUB, None).socket
    xpub.sndhwm = 0
    keys = hostile.keys_of("mallory")
    if keys is not None:
        xpub.curve_server = True
        xpub.curve_secretkey = keys.pair.secret.encode()
    port = xpub.bind_to_random_port("tcp://127.0.0.1")
    return xpub, f"127.0.0.1:{port}"


@attack(
    what="sequence numbers up to 2^53 - 1 in several sessions of a publisher, in the "
    "largest allowed steps, and in one step",
    got="lost events are counted up to 2^53 - 1, and one step too large counts as malformed; the "
    "subscriber stays registered and receives",
)
def test_numbers_that_cannot_be_added_up(hostile: HostileSystem) -> None:
    hostile.broker("--lease", 1)
    hostile.publishers("A", "B", rate=50)
    bob = hostile.subscribers("A")
    xpub, address = own_data_port(hostile)
    steps = (*range(0, numbers.LARGEST, MAX_JUMP), numbers.LARGEST)
    for _ in range(3):
        # From another connection it is another publisher, which replaces the previous
        # one.
        joins = hostile.registration("publisher", "A", address=address)
        session = hostile.talker().registered(joins).session
        lost = bob.figures()["lost"]

        def more_lost(session: int = session, lost: int = lost) -> bool:
            # Until the connection exists, and from then on.
            for number in steps:
                stamp = time.time_ns()
                xpub.send(encode_event("A", address, session, number, stamp, b"x"))
            told: int = bob.figures()["lost"]
            return told > lost or told == numbers.LARGEST

        wait_for(more_lost, "a loss", WAIT_S)

    wait_for(lambda: bob.figures()["lost"] == numbers.LARGEST, "the losses", WAIT_S)
    malformed = bob.figures()["malformed"]
    session = hostile.talker().registered(joins).session

    def more_malformed() -> bool:
        for number in (0, numbers.LARGEST):
            stamp = time.time_ns()
            xpub.send(encode_event("A", address, session, number, stamp, b"x"))
        return bool(bob.figures()["malformed"] > malformed)

    wait_for(more_malformed, "a malformed event", WAIT_S)
    carol = hostile.talker("carol")
    since = status(carol).uptime_s

    def still_there() -> bool:
        told = status(carol)
        bob = subscriber_of(told, "A")
        assert bob is not None, "the subscriber is registered no longer"
        assert bob.lost.get("A", 0) <= numbers.LARGEST
        known = bob.lost == {"A": numbers.LARGEST}
        return known and told.uptime_s > since + 3

    wait_for(still_there, "three leases", WAIT_S)
    receives(bob)


@attack(
    what="4,096 topics against 4,096 wildcards, repeatedly registered, removed and "
    "counted in heartbeats",
    got="other clients' heartbeats wait {wait} at most; the broker's memory grows by {memory}; "
    "`too_fast` for the attacker's address",
    bound="`--max-topics-per-client`",
)
def test_topics_and_wildcards_that_are_hard_to_compare(hostile: HostileSystem) -> None:
    levels = 12 if full_size() else 9
    # All other clients have this address too: they register before its attacks are
    # charged to it.
    broker = hostile.broker("--lease", 300)
    heart = hostile.heart()
    topics = ["/".join(each) for each in itertools.product("ab", repeat=levels)]
    filters = [
        "/".join([*each, "#"]) for each in itertools.product("a+", repeat=levels)
    ]
    mallory, other = hostile.talker(), hostile.talker()
    broker.remember_memory()
    heart.figures()
    longest = 0.0
    for _ in range(10 if full_size() else 3):
        told: list[Any] = []
        for talker, role, names in (
            (mallory, "publisher", topics),
            (other, "subscriber", filters),
        ):
            joins = hostile.registration("publisher", *names)
            if role == "subscriber":
                joins = hostile.registration("subscriber", *names)
            told.append(talker.ask(joins))
        for talker, reply in zip((mallory, other), told, strict=True):
            if not isinstance(reply, Registered):
                assert reply.code == messages.TOO_FAST
                continue
            counts = dict.fromkeys(topics, 1)
            for _ in range(5):
                talker.ask(
                    Heartbeat(
                        id=2, session=reply.session, lost=counts, published=counts
                    )
                )
            talker.ask(Disconnect(id=3, session=reply.session, next_sequences=counts))
        longest = max(longest, check_served(heart))
    hostile.figures.seconds("wait", longest)
    hostile.check_budget(broker)
    assert broker.end() == 0


@attack(
    what="the greatest strength for another client's topic, without events",
    got="secure: `not_allowed`; plain: with `--owner-idle` other publishers are "
    "received again after that time, otherwise not",
    bound="`strength` in the policy, `--owner-idle`",
)
def test_an_owner_that_keeps_all_others_from_being_heard(
    hostile: HostileSystem,
) -> None:
    hostile.broker("--owner-idle", 0.5, "--lease", 300)
    hostile.publishers("A", rate=50)
    bob = hostile.subscribers("A")
    receives(bob)
    joins = hostile.registration("publisher", "A", strengths={"A": 2**31 - 1})
    mallory = hostile.talker()

    if hostile.secure:
        assert mallory.refused(joins) == messages.NOT_ALLOWED
    else:
        mallory.registered(joins)

    receives(bob)
    receives(bob)
    assert bob.figures()["lost"] == 0

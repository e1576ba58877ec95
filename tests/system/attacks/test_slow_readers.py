"""Subscribers that do not read, and large events: the waiting bytes are bounded."""

from __future__ import annotations

import signal

import pytest
from support.attack_rows import attack
from support.hostile_system import BUDGET_MIB, HonestClients, HostileSystem, Process

from pubsub_common.testing import wait_for

PAYLOAD = 200_000
# As many as fill the queue of a subscriber, at a rate that two cores can forward.
RATE = 200


def role_that_queues(
    hostile: HostileSystem, broker: Process, publishers: HonestClients
) -> Process:
    """The process in which events wait for subscribers."""
    return broker if hostile.centralized else publishers


@attack(
    what="a subscriber that stops reading during events of 200 kB",
    got="disconnected when 64 MiB wait for it; memory grows by {memory}, others lose "
    "nothing, and it continues when it reads again",
    bound="`--queue-bytes`",
)
def test_a_subscriber_that_does_not_read_large_events(hostile: HostileSystem) -> None:
    broker = hostile.broker()
    publishers = hostile.publishers("A", rate=RATE, payload=PAYLOAD)
    role = role_that_queues(hostile, broker, publishers)
    honest = hostile.subscribers("A")
    stopped = hostile.subscribers("A", name="mallory")
    wait_for(lambda: stopped.figures()["received"] > 0, "the first events")
    honest.figures()
    role.remember_memory()

    stopped.send(signal.SIGSTOP)
    try:
        role.says("is not reading")
        hostile.figures.mib("memory", role.grown_mib())
    finally:
        stopped.send(signal.SIGCONT)

    assert role.grown_mib() < BUDGET_MIB
    stopped.figures()
    wait_for(lambda: stopped.figures()["received"] > 0, "events after the pause")
    assert honest.figures()["lost"] == 0
    assert broker.end() == 0


@attack(
    what="five subscribers that stop reading one after the other, with `--queue-total`",
    got="those with the longest queues are disconnected; memory grows by {memory}",
    bound="`--queue-total`",
)
def test_many_subscribers_that_stop_one_after_the_other(hostile: HostileSystem) -> None:
    total = 96 * 2**20
    more = ["--queue-total", total] if hostile.centralized else []
    broker = hostile.broker(*more)
    publishers = hostile.publishers(
        "A", rate=RATE, payload=PAYLOAD, name="alice", queue_total=total
    )
    role = role_that_queues(hostile, broker, publishers)
    honest = hostile.subscribers("A")
    stopped = [hostile.subscribers("A", name="mallory") for _ in range(5)]
    for each in stopped:
        wait_for(lambda each=each: each.figures()["received"] > 0, "the first events")  # type: ignore[misc]
    role.remember_memory()

    try:
        for each in stopped:
            each.send(signal.SIGSTOP)
            honest.figures()
            wait_for(lambda: honest.figures(keep=True)["received"] > 20, "more events")
        role.says("is not reading")
        hostile.figures.mib("memory", role.grown_mib())
    finally:
        for each in stopped:
            each.send(signal.SIGCONT)

    assert role.grown_mib() < total / 2**20 + 64
    assert honest.figures()["lost"] == 0
    assert broker.end() == 0


@pytest.mark.parametrize("overflow", ["drop", "block"])
def test_sizes_that_change_lose_nothing_for_those_who_read(
    hostile: HostileSystem, overflow: str
) -> None:
    hostile.broker("--overflow", overflow) if hostile.centralized else hostile.broker()
    small = hostile.publishers("A", rate=2000, overflow=overflow)
    large = hostile.publishers("B", rate=100, payload=PAYLOAD, overflow=overflow)
    honest = hostile.subscribers("A", "B")

    wait_for(
        lambda: honest.figures(keep=True)["received"] > 4000, "small and large events"
    )

    assert honest.figures()["lost"] == 0
    assert small.alive
    assert large.alive


@attack(
    what="a subscriber that stops reading large events, under `--overflow block`",
    got="publishers wait, nothing is lost; memory grows by {memory} in each role",
    bound="`--queue-bytes`",
)
def test_under_block_large_events_wait(hostile: HostileSystem) -> None:
    words = ["--overflow", "block"] if hostile.centralized else []
    broker = hostile.broker(*words)
    publishers = hostile.publishers("A", rate=RATE, payload=PAYLOAD, overflow="block")
    stopped = hostile.subscribers("A", name="mallory")
    wait_for(lambda: stopped.figures()["received"] > 0, "the first events")
    roles = broker, publishers
    for role in roles:
        role.remember_memory()

    stopped.send(signal.SIGSTOP)
    try:
        publishers.says("publishing waits")
        grown = max(role.grown_mib() for role in roles)
        hostile.figures.mib("memory", grown)
    finally:
        stopped.send(signal.SIGCONT)

    assert grown < BUDGET_MIB
    waited = stopped.figures()["received"]
    wait_for(
        lambda: stopped.figures(keep=True)["received"] > waited + 2 * RATE,
        "all that waited, and more",
    )
    assert stopped.figures()["lost"] == 0
    assert broker.end() == 0

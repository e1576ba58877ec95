"""Measures the processor time that events cost each broker of a group."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Sequence
from typing import Final

from pubsub_common import defaults
from pubsub_perf.bench.group.crowd_process import CrowdProcesses
from pubsub_perf.bench.group.running_group import RunningGroup, running_group
from pubsub_perf.bench.workload.ports import free_ports
from pubsub_publisher import Publisher

_READY_S: Final = 60.0
# A sleep ends late; the rest is spun.
_SPIN_S: Final = 0.0001
_PAUSE_S: Final = 0.000025
_PROCESSES: Final = 2
_SETTLED_S: Final = 0.5
# Nothing of the lease is to be in the figures, nor to end for a machine that is busy.
_LEASE_S: Final = 60.0
_WORDS: Final = (f"--lease={_LEASE_S:g}", "--centralized")


@dataclasses.dataclass(frozen=True, slots=True)
class ForwardingLoad:
    """The events of one publisher, and their subscribers. Topic n is chosen for an event with the
    weight
    ``weights[n]``; subscriber i has the topics of the numbers ``choices[i]``."""

    weights: tuple[float, ...]
    choices: tuple[tuple[int, ...], ...]
    payload_bytes: int
    events_per_s: float

    @property
    def topics(self) -> list[str]:
        return [f"T{number}" for number in range(len(self.weights))]

    @property
    def followers(self) -> list[int]:
        """Subscribers of each topic."""
        found = [0] * len(self.weights)
        for choice in self.choices:
            for number in choice:
                found[number] += 1
        return found

    @property
    def copies(self) -> float:
        """Of an average event."""
        pairs = zip(self.weights, self.followers, strict=True)
        return sum(weight * count for weight, count in pairs) / sum(self.weights)

    @property
    def taken(self) -> float:
        """The share of all events with a subscriber."""
        pairs = zip(self.weights, self.followers, strict=True)
        return sum(weight for weight, count in pairs if count) / sum(self.weights)


@dataclasses.dataclass(frozen=True, slots=True)
class ForwardingCosts:
    """``broker_us``: processor time of each broker for an event that was published. ``lost``:
    deliveries."""

    events: int
    broker_us: tuple[float, ...]
    delivered: int
    lost: int

    @property
    def busiest_us(self) -> float:
        return max(self.broker_us)


def one_topic(
    subscribers: int, payload_bytes: int, events_per_s: float
) -> ForwardingLoad:
    """All subscribers have the only topic."""
    return ForwardingLoad((1.0,), ((0,),) * subscribers, payload_bytes, events_per_s)


def zipf_topics(
    topics: int,
    subscribers: int,
    each: int,
    payload_bytes: int,
    events_per_s: float,
    seed: int,
) -> ForwardingLoad:
    """Topic n has 1/n of the events of the first one, and subscribers choose ``each``
    different ones by the same weights."""
    source = random.Random(seed)  # nosec B311  # no secret: it is to come out the same again
    weights = tuple(1 / (number + 1) for number in range(topics))
    choices = []
    for _ in range(subscribers):
        # The largest keys of so many are a choice by weights without repetition.
        keys = [source.random() ** (1 / weight) for weight in weights]
        chosen = sorted(range(topics), key=keys.__getitem__, reverse=True)[:each]
        choices.append(tuple(sorted(chosen)))
    return ForwardingLoad(weights, tuple(choices), payload_bytes, events_per_s)


def measure(
    load: ForwardingLoad, brokers: int, seconds: float, *, grouped: bool = True
) -> ForwardingCosts:
    """Publish for so many seconds. One broker may be one without a group.

    Raises:
        PubSubError: a process failed, or events did not arrive.
    """
    members = 1 if grouped else 0
    with running_group(brokers, _WORDS, members=members) as group:
        topics = load.topics
        chosen = [[topics[n] for n in choice] for choice in load.choices]
        ports = [broker.port for broker in group.brokers]
        with (
            CrowdProcesses(
                ports, chosen, min(_PROCESSES, len(chosen)), lease_s=_LEASE_S
            ) as crowd,
            _publisher(topics, ports[0]) as publisher,
        ):
            crowd.wait_until_registered(_READY_S)
            return _publish(load, seconds, publisher, crowd, group)


def _publisher(topics: Sequence[str], port: int) -> Publisher:
    return Publisher(
        defaults.LOOPBACK,
        list(topics),
        bind_port=free_ports(1)[0],
        broker_port=port,
        address=defaults.LOOPBACK,
        clock="monotonic",
        overflow="block",
        attach_timeout_s=0,
    )


def _publish(
    load: ForwardingLoad,
    seconds: float,
    publisher: Publisher,
    crowd: CrowdProcesses,
    group: RunningGroup,
) -> ForwardingCosts:
    topics, payload = load.topics, b"." * load.payload_bytes
    sent = dict.fromkeys(topics, 0)
    followers = dict(zip(topics, load.followers, strict=True))

    def one_each() -> None:
        for topic in topics:
            publisher.publish_event(topic, payload)

    crowd.wait(lambda found: found.complete, _READY_S, one_each)
    before = _settled(crowd)
    schedule = _schedule(load, round(load.events_per_s * seconds))
    used = [broker.processor_ns() for broker in group.brokers]
    _send(schedule, load, publisher, payload, sent)
    expected = sum(count * followers[topic] for topic, count in sent.items())

    def arrived() -> int:
        return sum(crowd.counts().events.values()) - sum(before.values())

    deadline = time.monotonic() + _READY_S
    while (delivered := arrived()) < expected and time.monotonic() < deadline:
        time.sleep(0.2)
    spent = [
        broker.processor_ns() - begin
        for broker, begin in zip(group.brokers, used, strict=True)
    ]
    return ForwardingCosts(
        events=len(schedule),
        broker_us=tuple(each / 1000 / len(schedule) for each in spent),
        delivered=delivered,
        lost=expected - delivered,
    )


def _settled(crowd: CrowdProcesses) -> dict[str, int]:
    """The received events after the last of the first events. A group spreads its topics a
    while after the subscribers have come, and an event of that moment would be lost."""
    before: dict[str, int] = {}
    while True:
        found = crowd.counts()
        if found.events == before and found.still_s > 2 * defaults.SPREAD_DELAY_S:
            return before
        before = found.events
        time.sleep(_SETTLED_S)


def _schedule(load: ForwardingLoad, events: int) -> list[str]:
    """The topics of the events, in order: the same for every number of brokers."""
    source = random.Random(1)  # nosec B311
    return source.choices(load.topics, load.weights, k=events)


def _send(
    schedule: Sequence[str],
    load: ForwardingLoad,
    publisher: Publisher,
    payload: bytes,
    sent: dict[str, int],
) -> None:
    send = publisher.publish_event
    begin = time.monotonic()
    for number, topic in enumerate(schedule):
        due = begin + number / load.events_per_s
        while (left_s := due - time.monotonic()) > 0:
            if left_s > _SPIN_S:
                time.sleep(left_s - _SPIN_S)
        send(topic, payload)
        sent[topic] += 1
        # Also if the event is late: events without a pause would be sent in batches.
        pause_end = time.monotonic() + _PAUSE_S
        while time.monotonic() < pause_end:
            pass

"""The cases that a sweep measures, made from axes."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.ascii_numbers import is_digits
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import Model
from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network, Placement

MODELS: Final[tuple[Model, ...]] = ("centralized", "decentralized")
WAIT_FACTOR: Final = 5.0
# However short a run, processes need some time to end.
MIN_DEADLINE_S: Final = 10.0
# All hosts of a cell share one kernel, hence this clock.
CLOCK: Final = "monotonic"
SWITCHES: Final = ("linux-bridge", "openvswitch")
MAX_MBIT: Final = 1000
# Of each publisher and topic: connections are fresh, caches cold, code not yet run.
WARMUP_EVENTS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What publishers do in every case of a sweep, and what links can carry. ``secure``:
    with keys, all traffic encrypted. ``brokers``: more than one are a group, with etcd."""

    events: int = 50
    interval_s: float = 0.1
    topics: int = 1
    payload_bytes: int = defaults.PAYLOAD_BYTES
    bandwidth_mbit: float | None = None
    delay_ms: float | None = None
    warmup_events: int = WARMUP_EVENTS
    wait_factor: float = WAIT_FACTOR
    seed: int = 1
    switch: str = SWITCHES[0]
    secure: bool = False
    brokers: int = 1

    def validate(self) -> None:
        """Raises:
        ConfigError: a value cannot work.
        """
        for name, value, minimum in (
            ("events", self.events, 1),
            ("topics", self.topics, 1),
            ("payload_bytes", self.payload_bytes, 0),
            ("warmup_events", self.warmup_events, 0),
            ("brokers", self.brokers, 1),
        ):
            validation.at_least(name, value, minimum)
        if self.brokers > defaults.MAX_BROKERS:
            raise ConfigError(
                f"brokers can be at most {defaults.MAX_BROKERS}: {self.brokers}"
            )
        for name, number in (
            ("interval", self.interval_s),
            ("bandwidth", self.bandwidth_mbit),
            ("wait factor", self.wait_factor),
        ):
            if number is not None and not 0 < number < math.inf:
                raise ConfigError(f"{name} must be more than 0: {number}")
        if self.bandwidth_mbit is not None and self.bandwidth_mbit > MAX_MBIT:
            raise ConfigError(
                f"bandwidth must be at most {MAX_MBIT} Mbit/s, the limit of Mininet's "
                f"links; without the option links are not limited: {self.bandwidth_mbit}"
            )
        if self.switch not in SWITCHES:
            raise ConfigError(
                f"unknown switch {self.switch!r}: choose of {', '.join(SWITCHES)}"
            )
        if self.delay_ms is not None and not 0 <= self.delay_ms < math.inf:
            raise ConfigError(f"delay must be 0 or more: {self.delay_ms}")

    @property
    def topic_names(self) -> tuple[str, ...]:
        """``A``, ``B``, … and from the 27th on ``T27``, ``T28``, …"""
        return tuple(
            chr(ord("A") + i) if i < 26 else f"T{i + 1}" for i in range(self.topics)
        )

    @property
    def sent(self) -> int:
        """Events that one publisher sends: the warm-up comes first, and on top."""
        return self.events + self.warmup_events * self.topics

    def events_of(self, topic_index: int) -> int:
        """How many of one publisher's events, warm-up included, are of this topic:
        topics take turns."""
        return len(range(topic_index, self.sent, self.topics))

    @property
    def deadline_s(self) -> float:
        """How long after the start the subscribers have for their files: the wait
        factor times ``events * interval``, as in the seed, but never less than
        processes need to end."""
        asked_s = self.wait_factor * self.events * self.interval_s
        return max(asked_s, self.sent * self.interval_s + MIN_DEADLINE_S)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One cell of a sweep: a model, a network, a load."""

    model: Model
    network: Network
    load: Load
    run: int = 1

    @property
    def name(self) -> str:
        repeat = f" (run {self.run})" if self.run > 1 else ""
        return f"{self.model}/{self.network.name}{repeat}"

    @property
    def placement(self) -> Placement:
        return Placement.of(len(self.network.hosts), self.load.brokers)

    def topic_of(self, subscriber: int) -> int:
        """The index of subscriber number ``subscriber``'s topic: they take turns."""
        return subscriber % self.load.topics

    def expected(self, subscriber: int) -> int:
        """How many events this subscriber must receive."""
        per_publisher = self.load.events_of(self.topic_of(subscriber))
        return per_publisher * len(self.placement.publishers)

    def ready_subscribers(self) -> int:
        """How many subscribers each publisher waits for: every publisher publishes
        every topic, so all of them."""
        return len(self.placement.subscribers)

    def phases_ns(self) -> list[int]:
        """When each publisher starts within the first interval: at random (seeded by
        the sweep's seed, the network and the run), as independent publishers would. The
        same for both models, so that they carry the same load."""
        # No secret: it is to come out the same again.
        seed = f"{self.load.seed}/{self.network.name}/{self.run}"
        source = random.Random(seed)  # nosec B311
        period_ns = self.load.interval_s * 1e9
        return [int(source.random() * period_ns) for _ in self.placement.publishers]

    def parameters(self) -> dict[str, object]:
        """What identifies a finished cell; for ``cell.json``."""
        return dataclasses.asdict(self.load) | {"clock": CLOCK}


def networks(
    names: Sequence[str],
    depths: Iterable[int],
    fanouts: Iterable[int],
    host_counts: Iterable[int],
) -> list[Network]:
    """The networks that ``names`` and the axes span, the smaller ones first. A name is
    a kind, or one network: ``tree-d3f2``, ``dumbbell-17``.

    Raises:
        ConfigError: an unknown name, or an impossible size.
    """
    fanouts = list(fanouts)
    host_counts = list(host_counts)
    found: list[Network] = []
    for name in names:
        kind, _, count = name.rpartition("-")
        if name == "tree":
            found += [topologies.tree(d, f) for d in depths for f in fanouts]
        elif tree := re.fullmatch(r"tree-d([0-9]+)f([0-9]+)", name):
            found.append(topologies.tree(int(tree[1]), int(tree[2])))
        elif name in topologies.OF_HOSTS:
            found += [topologies.OF_HOSTS[name](number) for number in host_counts]
        elif kind in topologies.OF_HOSTS and is_digits(count):
            found.append(topologies.OF_HOSTS[kind](int(count)))
        else:
            raise ConfigError(
                f"unknown topology {name!r}: choose of {', '.join(topologies.KINDS)}, "
                "or one network like tree-d3f2 or dumbbell-17"
            )
    unique = {network.name: network for network in found}
    return sorted(unique.values(), key=lambda network: len(network.hosts))


def cases(
    models: Sequence[str],
    networks_: Sequence[Network],
    load: Load,
    repeats: int = 1,
) -> list[Case]:
    """Every model on every network, ``repeats`` times. The models alternate, and a
    whole round comes before the next, so that a machine that slows down during a sweep
    slows all cells alike.

    Raises:
        ConfigError: an unknown model, or a load that cannot work.
    """
    load.validate()
    if load.topics > load.events:
        raise ConfigError(
            f"{load.topics} topics take turns, so {load.events} events cannot reach all"
        )
    validation.at_least("repeats", repeats)
    chosen: list[Model] = []
    for name in models:
        matching = [model for model in MODELS if model == name]
        if not matching:
            raise ConfigError(f"unknown model {name!r}: choose of {', '.join(MODELS)}")
        chosen += matching
    return [
        Case(model, topologies.with_group(network, load.brokers), load, run)
        for run in range(1, repeats + 1)
        for network in networks_
        for model in chosen
    ]

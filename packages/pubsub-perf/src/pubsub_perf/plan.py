"""What a sweep measures: a list of cases, made from axes. Core."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common import defaults
from pubsub_common.errors import ConfigError
from pubsub_common.messages import Model
from pubsub_perf import topologies
from pubsub_perf.topologies import Network, Placement

MODELS: Final[tuple[Model, ...]] = ("centralized", "decentralized")
WAIT_FACTOR: Final = 5.0
# However short a run, processes need some time to end.
MIN_DEADLINE_S: Final = 10.0
MAX_MBIT: Final = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What publishers do in every case of a sweep, and what links can carry."""

    events: int = 50
    interval_s: float = 0.1
    topics: int = 1
    payload_bytes: int = defaults.PAYLOAD_BYTES
    bandwidth_mbit: float | None = None
    delay_ms: float | None = None
    wait_factor: float = WAIT_FACTOR
    seed: int = 1

    def validate(self) -> None:
        """Raises:
        ConfigError: a value cannot work.
        """
        for name, value, minimum in (
            ("events", self.events, 1),
            ("topics", self.topics, 1),
            ("payload_bytes", self.payload_bytes, 0),
        ):
            if value < minimum:
                raise ConfigError(f"{name} must be at least {minimum}: {value}")
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
        if self.delay_ms is not None and not 0 <= self.delay_ms < math.inf:
            raise ConfigError(f"delay must be 0 or more: {self.delay_ms}")

    @property
    def topic_names(self) -> tuple[str, ...]:
        """``A``, ``B``, … and from the 27th on ``T27``, ``T28``, …"""
        return tuple(
            chr(ord("A") + i) if i < 26 else f"T{i + 1}" for i in range(self.topics)
        )

    def events_of(self, topic_index: int) -> int:
        """How many of one publisher's events are of this topic: they take turns."""
        return len(range(topic_index, self.events, self.topics))

    @property
    def deadline_s(self) -> float:
        """How long after the start the subscribers have for their files: the wait
        factor times the planned length of the run, as in the seed."""
        planned_s = self.events * self.interval_s
        return max(self.wait_factor * planned_s, planned_s + MIN_DEADLINE_S)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One cell of a sweep: a model, a network, a load."""

    model: Model
    network: Network
    load: Load

    @property
    def name(self) -> str:
        return f"{self.model}/{self.network.name}"

    @property
    def placement(self) -> Placement:
        return Placement.of(len(self.network.hosts))

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
        the sweep's seed and the network), as independent publishers would. The same
        for both models, so that they carry the same load."""
        source = random.Random(f"{self.load.seed}/{self.network.name}")
        period_ns = self.load.interval_s * 1e9
        return [int(source.random() * period_ns) for _ in self.placement.publishers]

    def parameters(self) -> dict[str, object]:
        """What identifies a finished cell; for ``cell.json``."""
        return dataclasses.asdict(self.load) | {"clock": "monotonic"}


def networks(
    kinds: Sequence[str],
    depths: Iterable[int],
    fanouts: Iterable[int],
    host_counts: Iterable[int],
) -> list[Network]:
    """The networks that the axes span, the smaller ones first.

    Raises:
        ConfigError: an unknown kind, or an impossible size.
    """
    makers = {
        "single-switch": topologies.single_switch,
        "linear": topologies.linear,
        "dumbbell": topologies.dumbbell,
    }
    fanouts = list(fanouts)
    host_counts = list(host_counts)
    found: list[Network] = []
    for kind in kinds:
        if kind == "tree":
            found += [topologies.tree(d, f) for d in depths for f in fanouts]
        elif kind in makers:
            found += [makers[kind](count) for count in host_counts]
        else:
            raise ConfigError(
                f"unknown topology {kind!r}: choose of {', '.join(topologies.KINDS)}"
            )
    return sorted(found, key=lambda network: len(network.hosts))


def cases(
    models: Sequence[str], networks_: Iterable[Network], load: Load
) -> list[Case]:
    """Every model on every network. The models alternate, so that a machine that
    slows down during a sweep slows both.

    Raises:
        ConfigError: an unknown model, or a load that cannot work.
    """
    load.validate()
    if load.topics > load.events:
        raise ConfigError(
            f"{load.topics} topics take turns, so {load.events} events cannot reach all"
        )
    chosen: list[Model] = []
    for name in models:
        matching = [model for model in MODELS if model == name]
        if not matching:
            raise ConfigError(f"unknown model {name!r}: choose of {', '.join(MODELS)}")
        chosen += matching
    return [Case(model, network, load) for network in networks_ for model in chosen]

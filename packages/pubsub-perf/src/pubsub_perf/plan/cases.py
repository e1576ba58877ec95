"""The cases that a sweep measures, made from axes."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Final

from pubsub_common import defaults, validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import Model
from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network, Placement

MODELS: Final[tuple[Model, ...]] = ("centralized", "decentralized")
WAIT_FACTOR: Final = 5.0
# However short a run, processes need some time to end.
MIN_DEADLINE_S: Final = 10.0
# All hosts of a cell share one kernel, and so this clock.
CLOCK: Final = "monotonic"
OVERFLOWS: Final = ("drop", "block")
# How the times between a publisher's events are: all alike, or random with that mean. Names of
# the publisher's option.
PERIODIC: Final = "periodic"
ARRIVALS: Final = (PERIODIC, "poisson")
SWITCHES: Final = ("linux-bridge", "openvswitch")
MAX_MBIT: Final = 1000
# A path has four links there and back: with more loss TCP no longer connects in time.
MAX_LOSS_PERCENT: Final = 20.0
# A day between two events: more than anybody waits for, and a number that clocks can have.
MAX_INTERVAL_S: Final = 86_400.0
# Random gaps take longer than so many standard deviations once in ten million runs.
_DEVIATIONS: Final = 6
# Of each publisher and topic: connections are fresh, caches cold, code not yet run.
WARMUP_EVENTS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What publishers do in a case, and what links can carry. ``secure``: with keys, all
    traffic encrypted. ``brokers``: more than one are a group, with etcd. Without ``overflow``,
    ``queue_limit`` and ``queue_bytes`` the roles have their own defaults."""

    events: int = 50
    interval_s: float = 0.1
    arrivals: str = PERIODIC
    topics: int = 1
    payload_bytes: int = defaults.PAYLOAD_BYTES
    bandwidth_mbit: float | None = None
    delay_ms: float | None = None
    jitter_ms: float | None = None
    loss_percent: float | None = None
    warmup_events: int = WARMUP_EVENTS
    wait_factor: float = WAIT_FACTOR
    seed: int = 1
    switch: str = SWITCHES[0]
    secure: bool = False
    brokers: int = 1
    overflow: str | None = None
    queue_limit: int | None = None
    queue_bytes: int | None = None

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
            ("queue_limit", self.queue_limit, 1),
            ("queue_bytes", self.queue_bytes, 1),
        ):
            if value is not None:
                validation.at_least(name, value, minimum)
        _check_positive("interval", self.interval_s)
        _check_positive("wait factor", self.wait_factor)
        if self.bandwidth_mbit is not None:
            _check_positive("bandwidth", self.bandwidth_mbit)
        if self.interval_s > MAX_INTERVAL_S:
            raise ConfigError(
                f"interval must be at most {MAX_INTERVAL_S:.0f} s: {self.interval_s:g}"
            )
        if self.payload_bytes > defaults.PAYLOAD_LIMIT_BYTES:
            raise ConfigError(
                f"payload_bytes must be at most {defaults.PAYLOAD_LIMIT_BYTES}: "
                f"{self.payload_bytes}"
            )
        if self.topics > self.events:
            raise ConfigError(
                f"{self.topics} topics take turns, so {self.events} events cannot reach all"
            )
        if self.brokers > defaults.MAX_BROKERS:
            raise ConfigError(
                f"brokers can be at most {defaults.MAX_BROKERS}: {self.brokers}"
            )
        if self.arrivals not in ARRIVALS:
            raise ConfigError(
                f"unknown arrivals {self.arrivals!r}: choose of {', '.join(ARRIVALS)}"
            )
        if self.overflow not in (None, *OVERFLOWS):
            raise ConfigError(
                f"unknown overflow {self.overflow!r}: choose from {', '.join(OVERFLOWS)}"
            )
        self._validate_links()

    def _validate_links(self) -> None:
        if self.bandwidth_mbit is not None and self.bandwidth_mbit > MAX_MBIT:
            raise ConfigError(
                f"bandwidth must be at most {MAX_MBIT} Mbit/s, the limit of Mininet's "
                f"links; without the option links are not limited: {self.bandwidth_mbit}"
            )
        if self.switch not in SWITCHES:
            raise ConfigError(
                f"unknown switch {self.switch!r}: choose from {', '.join(SWITCHES)}"
            )
        for name, number in (("delay", self.delay_ms), ("jitter", self.jitter_ms)):
            if number is not None and not 0 <= number < math.inf:
                raise ConfigError(f"{name} must be 0 or more: {number}")
        if self.jitter_ms and self.jitter_ms > (self.delay_ms or 0):
            raise ConfigError(
                f"jitter varies the delay, so it can be at most {self.delay_ms or 0:g} ms, "
                f"the delay: {self.jitter_ms:g}"
            )
        if self.loss_percent is not None and not (
            0 <= self.loss_percent <= MAX_LOSS_PERCENT
        ):
            raise ConfigError(
                f"loss must be 0 to {MAX_LOSS_PERCENT:g} per cent: {self.loss_percent}"
            )

    @property
    def needs_netem(self) -> bool:
        """Whether links do what only the kernel's netem can."""
        return bool(self.delay_ms or self.jitter_ms or self.loss_percent)

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
        events: float = self.sent
        if self.arrivals != PERIODIC:
            # The sum of n random gaps has a standard deviation of sqrt(n) of them.
            events += _DEVIATIONS * math.sqrt(self.sent)
        return max(asked_s, events * self.interval_s + MIN_DEADLINE_S)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One run of one cell: a model, a network, a load. ``scenario`` names the parameters by
    which the loads of one experiment differ; empty where they do not."""

    model: Model
    network: Network
    load: Load
    run: int = 1
    scenario: str = ""

    @property
    def name(self) -> str:
        scenario = f"{self.scenario}/" if self.scenario else ""
        repeat = f" (run {self.run})" if self.run > 1 else ""
        return f"{scenario}{self.model}/{self.network.name}{repeat}"

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
        source = self._random("")
        period_ns = self.load.interval_s * 1e9
        return [int(source.random() * period_ns) for _ in self.placement.publishers]

    def arrival_seeds(self) -> list[int]:
        """Of each publisher's random arrivals; the same for both models, as `phases_ns`."""
        source = self._random("/arrivals")
        return [source.getrandbits(32) for _ in self.placement.publishers]

    def _random(self, purpose: str) -> random.Random:
        # No secret: it is to come out the same again.
        seed = f"{self.load.seed}/{self.network.name}/{self.run}{purpose}"
        return random.Random(seed)  # nosec B311

    def parameters(self) -> dict[str, object]:
        """What identifies a finished cell; for ``cell.json``."""
        return dataclasses.asdict(self.load) | {"clock": CLOCK}


def cases(
    models: Sequence[str],
    networks_: Sequence[Network],
    load: Load,
    repeats: int = 1,
    scenario: str = "",
) -> list[Case]:
    """Every model on every network, ``repeats`` times. The models alternate, and a
    whole round comes before the next, so that a machine that slows down during a sweep
    slows all cells alike.

    Raises:
        ConfigError: an unknown model, or a load that cannot work.
    """
    load.validate()
    validation.at_least("repeats", repeats)
    chosen: list[Model] = []
    for name in models:
        matching = [model for model in MODELS if model == name]
        if not matching:
            raise ConfigError(
                f"unknown model {name!r}: choose from {', '.join(MODELS)}"
            )
        chosen += matching
    return [
        Case(model, topologies.with_group(network, load.brokers), load, run, scenario)
        for run in range(1, repeats + 1)
        for network in networks_
        for model in chosen
    ]


def _check_positive(name: str, value: float) -> None:
    if not (validation.is_number(value) and 0 < value < math.inf):
        raise ConfigError(f"{name} must be more than 0: {value!r}")

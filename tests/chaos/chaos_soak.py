"""A system that runs for a long time while clients join and leave, and the resources of
its processes."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from chaos_judge import Verdict
from chaos_parts import Publisher, Subscriber
from chaos_processes import Process
from chaos_system import System

from pubsub_common.protocol.messages import Model

PUBLISHERS: Final = 20
SUBSCRIBERS: Final = 50
# This many of them are replaced in turn; the others stay from beginning to end.
_LEAVING: Final = {"publisher": 5, "subscriber": 10}
_RATE: Final = 10
_TOPICS_EACH: Final = 2
_HISTORY: Final = 500
# Short, because of libzmq: a connection reserves memory for 512 messages each way, but
# uses it only when that many have passed. With this lease a client has sent as many
# heartbeats at the end of the warm-up.
_LEASE_S: Final = 1.0
_SAMPLE_S: Final = 10.0
_CHURN_S: Final = (2.0, 5.0)
# The warm-up is a third of the time, and at least this (see `_LEASE_S`).
_WARM_UP_S: Final = 180.0
# Allocators take memory in steps, so one step in a short time is a steep slope. So the
# bound is for this time after the warm-up, is wider for less, and is missing for a very
# short time.
_STEADY_S: Final = 300.0
_TOO_SHORT_S: Final = 60.0
# Descriptors come and go with other clients. A leak of one per client would be many
# times as many.
_MORE_FDS: Final = 24


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    rss_kib: int
    fds: int


@dataclasses.dataclass(slots=True)
class RoleUsage:
    """The resources of the processes of a role that stayed, after the warm-up."""

    role: str
    processes: int
    median_slope: float
    max_slope: float
    max_rss_kib: int
    max_fds: int
    more_fds: int  # difference between the two halves, of the process with the most
    bound: float | None  # None: the run was too short

    @property
    def exceeded(self) -> bool:
        return self.bound is not None and (
            self.max_slope > self.bound or self.more_fds > _MORE_FDS
        )


@dataclasses.dataclass(slots=True)
class SoakResult:
    model: str
    seconds: float
    replaced: int
    verdict: Verdict
    roles: list[RoleUsage]
    samples: dict[str, list[Sample]]

    @property
    def good(self) -> bool:
        return not self.verdict.problems and not any(r.exceeded for r in self.roles)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope by least squares."""
    n = len(points)
    if n < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    square = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / square


def sum_up(
    role: str, histories: Sequence[Sequence[Sample]], bound_kib_min: float
) -> RoleUsage:
    """From samples of processes that stayed from beginning to end."""
    began_s, ended_s = histories[0][0].at_s, histories[0][-1].at_s
    warm_at = began_s + max((ended_s - began_s) / 3, _WARM_UP_S)
    steady_s = ended_s - warm_at
    too_short = steady_s < _TOO_SHORT_S
    counted = [
        [sample for sample in samples if too_short or sample.at_s >= warm_at]
        for samples in histories
    ]
    slopes = sorted(slope([(s.at_s / 60, s.rss_kib) for s in some]) for some in counted)
    bound = None if too_short else bound_kib_min * max(1.0, _STEADY_S / steady_s)
    return RoleUsage(
        role=role,
        processes=len(histories),
        median_slope=round(slopes[len(slopes) // 2], 1),
        max_slope=round(slopes[-1], 1),
        max_rss_kib=max(sample.rss_kib for some in counted for sample in some),
        max_fds=max(sample.fds for some in counted for sample in some),
        more_fds=max(_more_fds(some) for some in counted),
        bound=None if bound is None else round(bound, 1),
    )


def _more_fds(samples: Sequence[Sample]) -> int:
    half = len(samples) // 2
    first, second = samples[: half + 1], samples[half:]
    return max(s.fds for s in second) - max(s.fds for s in first)


class Soak:
    """One run of one model."""

    def __init__(self, folder: Path, model: Model, seed: int, *, recover: bool) -> None:
        self._rng = random.Random(f"{seed}/{model}")
        self._system = System(
            folder, model, self._rng, recover=recover, lease_s=_LEASE_S, subscribers=0
        )
        self._samples: dict[Process, list[Sample]] = {}
        self._staying: dict[Process, str] = {}
        self._leaving: list[Publisher | Subscriber] = []
        self._replaced = 0

    def run(self, seconds: float, bound_kib_min: float) -> SoakResult:
        """Run until the time is up.

        Raises:
            Failed: a process crashed, hung or ended badly.
        """
        system = self._system
        with system:
            self._begin()
            began = time.monotonic()
            self._go_on(began, began + seconds)
            verdict = system.finish()
        roles = []
        for role in ("broker", "publisher", "subscriber"):
            stayed = [p for p, its_role in self._staying.items() if its_role == role]
            histories = [self._samples[process] for process in stayed]
            roles.append(sum_up(role, histories, bound_kib_min))
        return SoakResult(
            model=system.model,
            seconds=round(time.monotonic() - began, 1),
            replaced=self._replaced,
            verdict=verdict,
            roles=roles,
            samples={process.name: s for process, s in self._samples.items()},
        )

    def _begin(self) -> None:
        system = self._system
        system.start_broker()
        self._staying[system.broker] = "broker"
        starts: tuple[tuple[str, int, Callable[[], Publisher | Subscriber]], ...] = (
            ("publisher", PUBLISHERS, self._publisher),
            ("subscriber", SUBSCRIBERS, self._subscriber),
        )
        for role, count, start in starts:
            for index in range(count):
                part = start()
                if index < _LEAVING[role]:
                    self._leaving.append(part)
                else:
                    self._staying[part.process] = role
        system.wait_for(
            lambda: (
                all(pub.log.published for pub in system.publishers)
                and all(sub.log.runs for sub in system.subscribers)
            ),
            "all have begun",
        )

    def _publisher(self) -> Publisher:
        topic = f"T{len(self._system.publishers) % PUBLISHERS}"
        more = {"history": _HISTORY} if self._system.recover else {}
        return self._system.start_publisher(
            "pub", rate=_RATE, topics=[topic], more=more
        )

    def _subscriber(self) -> Subscriber:
        numbers = self._rng.sample(range(PUBLISHERS), _TOPICS_EACH)
        topics = [f"T{number}" for number in numbers]
        return self._system.start_subscriber("sub", topics=topics)

    def _go_on(self, began: float, until: float) -> None:
        sample_at, churn_at = began, began
        while (now := time.monotonic()) < until:
            if now >= sample_at:
                sample_at += _SAMPLE_S
                self._system.refresh()
                self._take_samples(now - began)
            if now >= churn_at:
                churn_at = now + self._rng.uniform(*_CHURN_S)
                self._replace_one()
            time.sleep(max(0.0, min(sample_at, churn_at, until) - time.monotonic()))
        self._system.refresh()
        self._take_samples(time.monotonic() - began)

    def _take_samples(self, at_s: float) -> None:
        parts = self._system.parts()
        for process in (self._system.broker, *(part.process for part in parts)):
            if process.alive:
                usage = process.usage()
                samples = self._samples.setdefault(process, [])
                samples.append(Sample(round(at_s, 1), usage.rss_kib, usage.fds))

    def _replace_one(self) -> None:
        """One leaves, normally or not, and another one of its kind starts."""
        part = self._leaving.pop(self._rng.randrange(len(self._leaving)))
        if self._rng.random() < 0.2:
            part.kill()
        else:
            self._system.wait_for(lambda: part.begun, f"{part.process.name} has begun")
            part.process.end()
        self._leaving.append(
            self._publisher() if isinstance(part, Publisher) else self._subscriber()
        )
        self._replaced += 1


def table(results: Sequence[SoakResult]) -> str:
    """Slopes and losses, in Markdown."""
    lines = [
        "| Model | Role | Processes | RSS slope, median and max (KiB/min) | Bound "
        "| RSS max (KiB) | Descriptors max |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        lines += [
            f"| {result.model} | {role.role} | {role.processes} "
            f"| {role.median_slope:+.1f}, {role.max_slope:+.1f} "
            f"| {'too short' if role.bound is None else role.bound} "
            f"| {role.max_rss_kib:,} | {role.max_fds} |"
            for role in result.roles
        ]
    lines += [
        "",
        "| Model | Seconds | Replaced | Published | Due | Received | of them recovered "
        "| Reported lost | Died with their publisher | Unexplained |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        v = result.verdict
        counts = (v.published, v.due, v.received, v.recovered, v.lost, v.died)
        words = " | ".join(f"{count:,}" for count in (*counts, v.unexplained))
        lines.append(
            f"| {result.model} | {result.seconds:.0f} | {result.replaced} | {words} |"
        )
    return "\n".join(lines)

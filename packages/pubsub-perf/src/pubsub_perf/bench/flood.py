"""Measures the latency of others while one address floods the broker's control port."""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register, Registered
from pubsub_common.protocol.versions import VERSIONS
from pubsub_perf.bench.flood_client import KINDS, FloodCounts
from pubsub_perf.bench.scenario_runner import run_scenario
from pubsub_perf.bench.systems import OURS
from pubsub_perf.bench.targets import RATE_PER_S
from pubsub_perf.bench.workload.scenario import Figures, Scenario
from pubsub_perf.hosts.namespaces import die_with_parent

QUIET: Final = "quiet"
BOUND: Final = 2.0
_LEAD_S: Final = 0.5
_PAUSE_S: Final = 0.05
_ANSWER_S: Final = 10.0
_END_S: Final = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class FloodRun:
    """One run during one kind of flood. ``newcomers_ms`` are the registration times of new
    clients from another address; ``missed`` is the number of those that were not registered."""

    figures: Figures
    newcomers_ms: tuple[float, ...]
    missed: int
    done: FloodCounts | None


@dataclasses.dataclass(frozen=True, slots=True)
class FloodResult:
    """The medians of one model and kind of flood; the ratios are to a quiet machine, and
    to a busy one, within each repetition."""

    model: str
    kind: str
    p50_us: float
    p99_us: float
    p50_ratio: float
    p99_ratio: float
    p50_to_busy: float
    p99_to_busy: float
    lost: int
    newcomer_ms: float
    newcomer_max_ms: float
    missed: int
    messages_per_s: float
    connections: float
    closed: float
    flooder_cpu: float

    @property
    def met(self) -> bool:
        """Whether others' latency stays within the bound, against a busy machine."""
        return max(self.p50_to_busy, self.p99_to_busy) <= BOUND and not self.missed


class Disturbance:
    """The disturbance during one run: a flood, and new clients."""

    def __init__(self, kind: str, seconds: float) -> None:
        self.kind = kind
        self.done: FloodCounts | None = None
        self.took_ms: list[float] = []
        self.missed = 0
        self._seconds = seconds
        self._stop = threading.Event()

    @contextmanager
    def __call__(self, ports: dict[str, int]) -> Iterator[None]:
        flood = None
        if self.kind != QUIET:
            flood = subprocess.Popen(
                [
                    *(
                        sys.executable,
                        "-m",
                        "pubsub_perf.bench.flood_client",
                        self.kind,
                    ),
                    *(str(ports["control"]), str(self._seconds + 2 * _LEAD_S)),
                ],
                bufsize=0,  # so that no more than the first line is read below
                stdout=subprocess.PIPE,
                preexec_fn=die_with_parent,
            )
            assert flood.stdout is not None
            flood.stdout.readline()  # its messages are prepared
        # Until it is at work.
        time.sleep(_LEAD_S)
        thread = threading.Thread(
            target=self._register_newcomers, args=(ports["control"],)
        )
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            if flood is not None:
                try:
                    said, _ = flood.communicate(timeout=_END_S)
                except subprocess.TimeoutExpired:
                    flood.kill()
                    flood.communicate()
                    raise PubSubError("the flood client does not end") from None
        if flood is not None:
            try:
                self.done = msgspec.json.decode(said, type=FloodCounts)
            except msgspec.DecodeError as error:
                raise PubSubError("the flood client failed") from error

    def _register_newcomers(self, port: int) -> None:
        with zmq.Context() as context:
            while not self._stop.wait(_PAUSE_S):
                with context.socket(zmq.DEALER) as dealer:
                    dealer.linger = 0
                    began = time.monotonic()
                    dealer.connect(f"tcp://127.0.0.1:{port}")
                    dealer.send(messages.encode(newcomer()))
                    if dealer.poll(round(_ANSWER_S * 1000)) and isinstance(
                        messages.decode_reply(dealer.recv()), Registered
                    ):
                        self.took_ms.append((time.monotonic() - began) * 1000)
                    else:
                        self.missed += 1


def newcomer() -> Register:
    """A subscriber that nobody publishes for."""
    return Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=["nothing"],
        address="127.0.0.1",
        clock="monotonic",
    )


def run_one(kind: str, brokered: bool, seconds: float) -> FloodRun:
    """One publisher and one subscriber at 1,000 events/s, beside a flood.

    Raises:
        PubSubError: a process failed.
    """
    scenario = Scenario("latency", 64, 1, brokered=brokered, rate=RATE_PER_S)
    disturbance = Disturbance(kind, seconds)
    figures = run_scenario(OURS, scenario, seconds, disturbance)
    return FloodRun(
        figures, tuple(disturbance.took_ms), disturbance.missed, disturbance.done
    )


def rows(
    repetitions: int, seconds: float, say: Callable[[str], None]
) -> Iterator[FloodResult]:
    """Everything, in turn: each repetition has a run of each kind.

    Raises:
        PubSubError: a run failed.
    """
    kinds = (QUIET, *KINDS)
    for brokered in (False, True):
        found: dict[str, list[FloodRun]] = {kind: [] for kind in kinds}
        for number in range(repetitions):
            for kind in kinds if number % 2 else kinds[::-1]:
                say(f"flood: {kind}, {number + 1} of {repetitions}")
                found[kind].append(run_one(kind, brokered, seconds))
        model = "centralized" if brokered else "decentralized"
        for kind in kinds:
            yield result_of(
                model, kind, found[kind], found[QUIET], found["busy"], seconds
            )


def result_of(
    model: str,
    kind: str,
    runs: Sequence[FloodRun],
    quiet: Sequence[FloodRun],
    busy: Sequence[FloodRun],
    seconds: float,
) -> FloodResult:
    """The medians of the runs of one kind."""

    def ratio(metric: str, others: Sequence[FloodRun]) -> float:
        pairs = zip(runs, others, strict=True)
        ratios: list[float] = [
            getattr(one.figures, metric) / getattr(other.figures, metric)
            for one, other in pairs
        ]
        return statistics.median(ratios)

    def median_or_zero(values: list[float]) -> float:
        return statistics.median(values) if values else 0.0

    took = [ms for run in runs for ms in run.newcomers_ms]
    done = [run.done for run in runs if run.done is not None]
    span_s = seconds + 2 * _LEAD_S
    numbers = {
        "p50_us": median_or_zero([run.figures.p50_us or 0.0 for run in runs]),
        "p99_us": median_or_zero([run.figures.p99_us or 0.0 for run in runs]),
        "p50_ratio": ratio("p50_us", quiet),
        "p99_ratio": ratio("p99_us", quiet),
        "p50_to_busy": ratio("p50_us", busy),
        "p99_to_busy": ratio("p99_us", busy),
        "newcomer_ms": median_or_zero(took),
        "newcomer_max_ms": max(took, default=0.0),
        "messages_per_s": median_or_zero([one.messages / span_s for one in done]),
        "connections": median_or_zero([float(one.connections) for one in done]),
        "closed": median_or_zero([float(one.closed) for one in done]),
        "flooder_cpu": median_or_zero([one.cpu_s / span_s for one in done]),
    }
    return FloodResult(
        model=model,
        kind=kind,
        lost=sum(run.figures.lost for run in runs),
        missed=sum(run.missed for run in runs),
        **{name: round(value, 2) for name, value in numbers.items()},
    )


def line_of(it: FloodResult) -> str:
    """One line for people."""
    label = f"{it.model}, {it.kind}"
    newcomers = f"newcomers {it.newcomer_ms:.1f} ms, at most {it.newcomer_max_ms:.1f}"
    missed = f", {it.missed} NOT registered" if it.missed else ""
    against = ""
    if it.kind != QUIET:
        against = (
            f"; {it.p50_ratio:.2f} and {it.p99_ratio:.2f} times quiet, "
            f"{it.p50_to_busy:.2f} and {it.p99_to_busy:.2f} times busy"
        )
    flood = ""
    if it.kind not in (QUIET, "busy"):
        flood = (
            f"; {it.messages_per_s:,.0f} messages/s, {it.connections:,.0f} connections, "
            f"{it.closed:,.0f} closed, {it.flooder_cpu:.0%} of a processor"
        )
    lost = f"; {it.lost} lost" if it.lost else ""
    return (
        f"{label:<30} p50 {it.p50_us:.0f} us, p99 {it.p99_us:.0f} us{against}; "
        f"{newcomers}{missed}{flood}{lost}"
    )


def document(
    found: Sequence[FloodResult], repetitions: int, seconds: float
) -> dict[str, Any]:
    """Everything, for a JSON file."""
    from pubsub_perf.experiment import environment

    return {
        "format": 1,
        **environment.describe(),
        "repetitions": repetitions,
        "seconds": seconds,
        "flood": [msgspec.to_builtins(item) | {"met": item.met} for item in found],
    }

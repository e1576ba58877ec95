"""Runs one scenario: a broker, publishers and subscribers, as processes."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from pubsub_common.errors import PubSubError
from pubsub_common.files import last_lines
from pubsub_perf.bench import systems
from pubsub_perf.bench.checkout import HERE, Checkout
from pubsub_perf.bench.forwarder_topics import topics_of
from pubsub_perf.bench.workload.job import Job, JobResult
from pubsub_perf.bench.workload.ports import free_ports
from pubsub_perf.bench.workload.scenario import Figures, Scenario
from pubsub_perf.experiment.role_keys import make_keys
from pubsub_perf.hosts.namespaces import die_with_parent

_READY_S: Final = 60.0
_EXTRA_S: Final = 90.0
_END_S: Final = 10.0
_LEAVE_S: Final = 1.0
_CLIENT: Final = "client"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class WorkerProcess:
    """A process that does a job."""

    def __init__(self, job: Job, log: Path, checkout: Checkout) -> None:
        self.job = job
        self._log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [checkout.interpreter(), "-m", "pubsub_perf.bench.worker"],
                env=checkout.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=die_with_parent,
            )
        self.tell(msgspec.json.encode(job))

    def tell(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self, timeout_s: float) -> bytes:
        """Its next line.

        Raises:
            PubSubError: none came in time, or it ended.
        """
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(timeout_s) else b""
        if line:
            return line.strip()
        said = last_lines(self._log, 1)
        raise PubSubError(
            f"the {self.job.part} of {self.job.system} "
            f"{'ended' if self.process.poll() is not None else 'is silent'}: "
            f"{' '.join(said) or '(its log is empty)'}"
        )

    def leave(self) -> None:
        """Let it end by itself, if it does so soon: a process that is killed leaves its shared
        memory behind."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_LEAVE_S)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                # It writes again what an ended process has not read.
                with contextlib.suppress(OSError):
                    stream.close()


# A disturbance during a measured run; it gets the ports.
Disturbance = Callable[[dict[str, int]], AbstractContextManager[None]]


def run_scenario(
    system: str,
    scenario: Scenario,
    seconds: float,
    disturbance: Disturbance | None = None,
    checkout: Checkout = HERE,
) -> Figures:
    """Run one cell on one system; ours with the roles of ``checkout``.

    Raises:
        PubSubError: a process failed.
    """
    module = systems.load(system)
    names = [
        *module.port_names(),
        *(f"publisher{i}" for i in range(scenario.publishers)),
    ]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keys = make_keys(folder / "keys", [_CLIENT]) if scenario.secure else None
        command = module.broker(ports, scenario, folder)
        broker = None
        if command is not None:
            command = checkout.command(command)
            if keys is not None:
                command += keys.broker_words()
            broker = stack.enter_context(_broker(command, folder / "broker.log"))
        job = Job(
            system=system,
            part="subscriber",
            kind=scenario.kind,
            payload_bytes=scenario.payload_bytes,
            seconds=seconds,
            brokered=scenario.brokered,
            ports=ports,
            subscribers=scenario.subscribers // scenario.publishers,
            rate=scenario.rate,
            sending=scenario.sending,
            receiving=scenario.receiving,
            shared_memory=scenario.shared_memory,
            topics=topics_of(
                scenario.publishers, scenario.forwarders, ports.get("control", 0)
            ),
            keys=None if keys is None else str(keys.client(_CLIENT)),
        )
        workers = []
        for part, count in (
            ("subscriber", scenario.subscribers),
            ("publisher", scenario.publishers),
        ):
            for index in range(count):
                own = msgspec.structs.replace(
                    job,
                    part=part,
                    index=index,
                    ports=ports | {"publisher": ports[f"publisher{index}"]}
                    if scenario.publishers > 1
                    else ports,
                )
                worker = WorkerProcess(own, folder / f"{part}-{index}.log", checkout)
                stack.callback(worker.end)
                workers.append(worker)
        _wait_ready(workers)
        _begin(workers)
        _wait_ready(workers[: scenario.subscribers])  # they have warmed up
        _tell_over(workers[scenario.subscribers :])
        _wait_ready(workers[scenario.subscribers :])
        if disturbance is None:
            return _figures_of(workers, broker, seconds, scenario)
        with disturbance(ports):
            return _figures_of(workers, broker, seconds, scenario)


def _wait_ready(workers: list[WorkerProcess]) -> None:
    for worker in workers:
        if worker.read(_READY_S) != b"ready":
            raise PubSubError(f"the {worker.job.part} said something else than ready")


def _begin(workers: list[WorkerProcess]) -> None:
    for worker in workers:  # the subscribers first
        worker.tell(b"go")


def _figures_of(
    workers: list[WorkerProcess],
    broker: subprocess.Popen[bytes] | None,
    seconds: float,
    scenario: Scenario,
) -> Figures:
    cpu_s = _cpu_s(broker)
    _begin(workers)
    found: list[JobResult] = []
    for worker in workers:
        if len(found) == scenario.subscribers:
            _tell_over(workers[scenario.subscribers :])
        line = worker.read(seconds + _EXTRA_S)
        found.append(msgspec.json.decode(line, type=JobResult))
    cpu_s = _cpu_s(broker) - cpu_s
    for worker in workers:
        worker.leave()
    receivers, senders = found[: scenario.subscribers], found[scenario.subscribers :]
    sent = sum(item.events for item in senders)
    begin_ns = min(item.first_ns for item in senders)
    span_s = (max(item.last_ns for item in receivers) - begin_ns) / 1e9
    received = sum(item.events for item in receivers)
    each = scenario.subscribers // scenario.publishers
    shared = [item.shared for item in senders if item.shared is not None]
    return Figures(
        rate=received / each / span_s,
        sent=sent,
        received=received,
        lost=sent * each - received,
        cpu_s_per_million=(cpu_s + sum(item.cpu_s for item in found)) / sent * 1e6,
        p50_us=_slowest(r.p50_us for r in receivers),
        p99_us=_slowest(r.p99_us for r in receivers),
        inside_p50_us=_slowest(r.inside_p50_us for r in receivers),
        inside_p99_us=_slowest(r.inside_p99_us for r in receivers),
        shared=sum(shared) if shared else None,
    )


def _tell_over(publishers: list[WorkerProcess]) -> None:
    """Tell the publishers that all subscribers have ended a part. Most do not wait for it."""
    for publisher in publishers:
        with contextlib.suppress(OSError):
            publisher.tell(b"over")


def _slowest(latencies_us: Iterable[float | None]) -> float | None:
    return max((each for each in latencies_us if each is not None), default=None)


@contextmanager
def _broker(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            cwd=log.parent,
            preexec_fn=die_with_parent,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    """Processor seconds of a process so far; 0 without one."""
    if process is None:
        return 0.0
    return cpu_ticks(process.pid) / _TICKS


def cpu_ticks(pid: int) -> int:
    """Processor time of a process so far, in ticks of the kernel (10 ms).

    Raises:
        PubSubError: it has ended.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        raise PubSubError("a process of the benchmark has ended") from None
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])

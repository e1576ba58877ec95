"""Measures the cost of idle roles: start, memory, registrations."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register
from pubsub_common.protocol.versions import VERSIONS
from pubsub_perf.bench import bytecode
from pubsub_perf.bench.checkout import HERE, Checkout
from pubsub_perf.bench.scenario_runner import cpu_ticks
from pubsub_perf.bench.workload.ports import free_ports, wait_for_port
from pubsub_perf.experiment.cpu_monitor import processor_ns
from pubsub_perf.hosts.interface import script
from pubsub_perf.hosts.namespaces import die_with_parent

_BAR: Final = 7
_LIBRARY: Final = (sys.executable, "-c", "import zmq")
_IDLE: Final = (sys.executable, "-c", "import zmq, sys; sys.stdin.read()")
_WAIT_S: Final = 30.0
_CLIENTS: Final = 1000
# Of a subscriber: to the broker, and to the publisher.
_CONNECTIONS: Final = 2
_POLL_S: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """One figure with its bound: at most."""

    bar: int
    name: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def met(self) -> bool:
        return self.bound is None or self.value <= self.bound

    def document(self) -> dict[str, Any]:
        """For a JSON file."""
        return dataclasses.asdict(self) | {"met": self.met}


@dataclasses.dataclass(frozen=True, slots=True)
class RegistrationCost:
    """The cost of many registrations: seconds until all were answered, processor seconds of the
    broker meanwhile, and the growth of its memory."""

    took_s: float
    cpu_s: float
    grown_kib: int


def all_facts(repetitions: int) -> list[Fact]:
    """Every figure of this page."""
    with bytecode.written():
        return [
            *(start_time(role, repetitions) for role in ("publisher", "subscriber")),
            *idle_memory(),
            *registrations(),
        ]


def start_time(role: str, repetitions: int) -> Fact:
    """``--help`` of a role's script against importing ZeroMQ alone, in turn."""
    command = (script(f"pubsub-{role}"), "--help")
    ratios = []
    for _ in range(max(5, repetitions) + 1):
        ours, theirs = _time_s(command), _time_s(_LIBRARY)
        ratios.append(ours / theirs)
    # Without the first one, which may have written byte code.
    ratio = statistics.median(ratios[1:])
    return Fact(_BAR, f"pubsub-{role} --help / import zmq", ratio, "times", 2.0)


def idle_memory() -> list[Fact]:
    """Resident memory of idle roles over that of a process that has imported ZeroMQ."""
    idle_kib()  # they may have to write byte code first
    with Process(_IDLE) as plain:
        _wait_until_idle([plain])
        base_kib = plain.memory_kib()
    return [
        Fact(
            _BAR,
            f"memory of an idle {name} above import zmq",
            round((kib - base_kib) / 1024, 2),
            "MiB",
            10.0,
        )
        for name, kib in idle_kib().items()
    ]


def idle_kib(
    broker_words: Sequence[str] = (), *words: str, checkout: Checkout = HERE
) -> dict[str, int]:
    """Resident memory of idle roles by their names. ``broker_words`` are for the broker,
    ``words`` for both clients."""
    script = checkout.program
    control, data = free_ports(2)
    broker = [script("pubsub-broker"), "-i", f"--port={control}", "--bind=127.0.0.1"]
    common = ["-b", "127.0.0.1", f"--broker-port={control}", "-t", "A", *words]
    publisher = [script("pubsub-publisher"), *common, f"--bind-port={data}"]
    with ExitStack() as stack:
        roles = {"broker": stack.enter_context(Process([*broker, *broker_words]))}
        wait_for_port(control, _WAIT_S)
        roles["publisher"] = stack.enter_context(
            Process([*publisher, "--wait-for=2", "-i"])
        )
        wait_for_port(data, _WAIT_S)
        roles["subscriber"] = stack.enter_context(
            Process([script("pubsub-subscriber"), *common, "-i"])
        )
        # On a busy machine it may not have begun yet, and then seems idle.
        roles["subscriber"].wait_for_sockets(_CONNECTIONS)
        _wait_until_idle([*roles.values()])
        return {name: process.memory_kib() for name, process in roles.items()}


def registrations() -> list[Fact]:
    """1,000 subscribers register at one broker process, from one client process."""
    found = register(_CLIENTS)
    return [
        Fact(_BAR, "1,000 subscribers register", round(found.took_s, 2), "s", 5.0),
        Fact(
            _BAR,
            "broker memory per subscriber",
            round(found.grown_kib / _CLIENTS, 1),
            "KiB",
            50.0,
        ),
    ]


def register(
    clients: int,
    broker_words: Sequence[str] = (),
    prepare: Callable[[zmq.Socket[bytes]], None] = lambda _socket: None,
    at_once: int | None = None,
    checkout: Checkout = HERE,
) -> RegistrationCost:
    """So many subscribers register at one broker process, from one client process. ``prepare`` is
    for each of their sockets; ``at_once``: so many connect before the next wait for them."""
    (port,) = free_ports(1)
    command = [
        checkout.program("pubsub-broker"),
        "-i",
        "-c",
        f"--port={port}",
        *broker_words,
    ]
    with ExitStack() as stack:
        broker = stack.enter_context(Process([*command, "--bind=127.0.0.1"]))
        wait_for_port(port, _WAIT_S)
        _wait_until_idle([broker])
        before_kib, before_ns = broker.memory_kib(), broker.processor_ns()
        took_s = stack.enter_context(registered(port, clients, prepare, at_once))
        cpu_s = (broker.processor_ns() - before_ns) / 1e9
        _wait_until_idle([broker])
        return RegistrationCost(took_s, cpu_s, broker.memory_kib() - before_kib)


@contextlib.contextmanager
def registered(
    port: int,
    clients: int,
    prepare: Callable[[zmq.Socket[bytes]], None] = lambda _socket: None,
    at_once: int | None = None,
) -> Iterator[float]:
    """So many subscribers register at the broker at ``port``, as in `register`; yields the seconds
    until all were answered. Their connections end with the block."""
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        context.set(zmq.MAX_SOCKETS, clients + 10)
        sockets = []
        began = time.monotonic()
        for number in range(clients):
            socket = stack.enter_context(context.socket(zmq.DEALER))
            socket.linger = 0
            prepare(socket)
            socket.connect(f"tcp://127.0.0.1:{port}")
            socket.send(messages.encode(subscriber_request(number)))
            sockets.append(socket)
            if number + 1 == clients or (at_once and len(sockets) == at_once):
                for waiting in sockets:
                    waiting.poll(round(_WAIT_S * 1000))
                    waiting.recv(zmq.NOBLOCK)
                sockets.clear()
        yield time.monotonic() - began


def subscriber_request(number: int) -> Register:
    """How subscriber ``number`` registers; each has one of 100 topics."""
    return Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=[f"T{number % 100}"],
        address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        clock="monotonic",
    )


class Process:
    """A process without input and output, killed at the end of the ``with`` block."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def cpu_ticks(self) -> int:
        return cpu_ticks(self._process.pid)

    def wait_for_sockets(self, count: int) -> None:
        """Wait until it has so many sockets of the system, for half a minute at most."""
        folder = Path(f"/proc/{self._process.pid}/fd")
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline and _sockets(folder) < count:
            time.sleep(_POLL_S)

    def processor_ns(self) -> int:
        """Processor time of all its threads so far.

        Raises:
            PubSubError: it has ended.
        """
        found = processor_ns(self._process.pid)
        if found is None:
            raise PubSubError("a process of the benchmark has ended")
        return found

    def memory_kib(self) -> int:
        return memory_kib(self._process.pid)


def _sockets(folder: Path) -> int:
    count = 0
    for file in folder.iterdir():
        # It may be closed meanwhile.
        with contextlib.suppress(OSError):
            count += file.readlink().name.startswith("socket:")
    return count


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _wait_until_idle(processes: Sequence[Process]) -> None:
    """Wait until none of them has used a processor for a third of a second."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        before = [process.cpu_ticks() for process in processes]
        time.sleep(0.3)
        if before == [process.cpu_ticks() for process in processes]:
            return


def _time_s(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began

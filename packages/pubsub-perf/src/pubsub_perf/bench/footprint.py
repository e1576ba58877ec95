"""What roles cost before they do anything: start, memory, registrations. Shell."""

from __future__ import annotations

import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import zmq

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import PROTOCOL_VERSION, Register
from pubsub_perf.bench import bytecode
from pubsub_perf.bench.runner import cpu_ticks, free_ports, wait_for_port
from pubsub_perf.hosts.interface import script
from pubsub_perf.hosts.namespaces import die_with_parent

_BAR: Final = 7
_LIBRARY: Final = (sys.executable, "-c", "import zmq")
_IDLE: Final = (sys.executable, "-c", "import zmq, sys; sys.stdin.read()")
_WAIT_S: Final = 30.0
_CLIENTS: Final = 1000


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


def all_facts(repetitions: int) -> list[Fact]:
    """Every figure of this page."""
    with bytecode.written():
        return [
            *(start_time(role, repetitions) for role in ("publisher", "subscriber")),
            *idle_memory(),
            *registrations(),
            *simulated_registrations(repetitions),
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
        _settle([plain])
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


def idle_kib(broker_words: Sequence[str] = (), *words: str) -> dict[str, int]:
    """Resident memory of idle roles by their names. ``broker_words`` are for the broker,
    ``words`` for both clients."""
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
        _settle([*roles.values()])
        return {name: process.memory_kib() for name, process in roles.items()}


def registrations() -> list[Fact]:
    """1,000 subscribers register at one broker process, from one client process."""
    took_s, grown_kib = register(_CLIENTS)
    return [
        Fact(_BAR, "1,000 subscribers register", round(took_s, 2), "s", 5.0),
        Fact(
            _BAR,
            "broker memory per subscriber",
            round(grown_kib / _CLIENTS, 1),
            "KiB",
            50.0,
        ),
    ]


def register(
    clients: int,
    broker_words: Sequence[str] = (),
    prepare: Callable[[zmq.Socket[bytes]], None] = lambda _socket: None,
    at_once: int | None = None,
) -> tuple[float, int]:
    """So many subscribers register at one broker process, from one client process; the
    seconds that it takes, and the broker's memory for them in KiB. ``prepare`` is for
    each of their sockets; ``at_once``: so many connect before the next wait for them."""
    (port,) = free_ports(1)
    command = [script("pubsub-broker"), "-i", "-c", f"--port={port}", *broker_words]
    with ExitStack() as stack:
        broker = stack.enter_context(Process([*command, "--bind=127.0.0.1"]))
        wait_for_port(port, _WAIT_S)
        _settle([broker])
        before_kib = broker.memory_kib()
        context = stack.enter_context(zmq.Context())
        context.set(zmq.MAX_SOCKETS, clients + 10)
        sockets = []
        began = time.monotonic()
        for number in range(clients):
            socket = stack.enter_context(context.socket(zmq.DEALER))
            socket.linger = 0
            prepare(socket)
            socket.connect(f"tcp://127.0.0.1:{port}")
            socket.send(messages.encode(_register(number)))
            sockets.append(socket)
            if number + 1 == clients or (at_once and len(sockets) == at_once):
                for waiting in sockets:
                    waiting.poll(round(_WAIT_S * 1000))
                    waiting.recv(zmq.NOBLOCK)
                sockets.clear()
        took_s = time.monotonic() - began
        _settle([broker])
        return took_s, broker.memory_kib() - before_kib


def simulated_registrations(repetitions: int) -> list[Fact]:
    """The broker's core alone, with simulated clients: the cost of a registration among
    10,000 clients over that among 100, and notifications per client that matches."""
    few, many = 100, 10_000
    ratios = []
    for _ in range(max(3, repetitions)):
        # As many of either: the speed of a shared machine changes within a second.
        small_s = sum(_core_s(few) for _ in range(many // few))
        ratios.append(_core_s(many) / small_s)
    ratio = statistics.median(ratios)
    name = "cost of a registration, 10,000 clients / 100"
    pushed, matching = _pushes(many)
    if not pushed:
        raise PubSubError("nobody was told of the publisher that joined")
    return [
        Fact(_BAR, name, round(ratio, 2), "times", 1.5),
        Fact(
            _BAR,
            f"notifications for {matching} matching of {many:,} subscribers",
            pushed / matching,
            "each",
            1.0,
        ),
    ]


def _core_s(clients: int) -> float:
    core = _core()
    requests = [(b"%d" % n, _register(n)) for n in range(clients)]
    began = time.perf_counter()
    for number, (peer, request) in enumerate(requests):
        core.handle(peer, request, number * 1e-5)
    return time.perf_counter() - began


def _pushes(clients: int) -> tuple[int, int]:
    """How many pushes a publisher's join causes, and how many subscribers match."""
    core = _core()
    for number in range(clients):
        core.handle(b"%d" % number, _register(number), 0.0)
    core.tick(1.0)
    join = Register(
        id=1,
        version=PROTOCOL_VERSION,
        role="publisher",
        topics=["T7"],
        address="127.0.0.1:5556",
        clock="monotonic",
    )
    effects = [*core.handle(b"publisher", join, 1.0), *core.tick(2.0)]
    pushed = sum(isinstance(e, Send) and e.peer != b"publisher" for e in effects)
    return pushed, sum(number % 100 == 7 for number in range(clients))


def _core() -> BrokerCore:
    sessions = iter(range(1, 10**9))
    return BrokerCore(
        "decentralized",
        MemoryRegistry(60.0),
        epoch=1,
        lease_s=60.0,
        max_clients=1_000_000,
        new_session=lambda: next(sessions),
        ports=lambda _topics: {},
        forwarded=lambda: 0,
        clock_ns=lambda: 0,
        now=0.0,
    )


def _register(number: int) -> Register:
    """A subscriber; each has one of 100 topics."""
    return Register(
        id=1,
        version=PROTOCOL_VERSION,
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

    def memory_kib(self) -> int:
        text = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _settle(processes: Sequence[Process]) -> None:
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

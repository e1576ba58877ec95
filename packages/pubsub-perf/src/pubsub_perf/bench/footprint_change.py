"""Compares the cost of idle roles, and of registrations, with that of another checkout, in turn."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pubsub_perf.bench import bytecode
from pubsub_perf.bench.checkout import HERE, Checkout
from pubsub_perf.bench.footprint import idle_kib, register, registered
from pubsub_perf.bench.group.running_group import running_group
from pubsub_perf.bench.in_turn.results import Spread, spread_of
from pubsub_perf.hosts import etcd_program

BOUND: Final = 1.05
_CLIENTS: Final = 1000
# Each waits for etcd.
_GROUP_CLIENTS: Final = 500
_STARTS: Final = 5

# Names of figures, with their units, and values; less is better.
Figures = Mapping[str, float]
Probe = Callable[[Checkout], Figures]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One figure of both checkouts, and their ratio within a round: at most `BOUND`."""

    name: str
    ours: Spread
    base: Spread
    ratio: Spread

    @property
    def met(self) -> bool:
        return self.ratio.median <= BOUND


def changes(base: Checkout, repetitions: int) -> Iterator[Change]:
    """Every figure, from ``repetitions`` rounds. One before them does not count: it may write byte
    code."""
    with bytecode.written():
        for probe in _probes():
            for checkout in (HERE, base):
                probe(checkout)
            found: list[tuple[Figures, Figures]] = []
            for number in range(repetitions):
                if number % 2:
                    theirs = probe(base)
                    found.append((probe(HERE), theirs))
                else:
                    found.append((probe(HERE), probe(base)))
            yield from changes_of(found)


def run(
    base: Checkout, repetitions: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Compare everything, say each result, and return them, for a JSON file."""
    found = []
    for change in changes(base, repetitions):
        say(line_of(change))
        found.append(msgspec.to_builtins(change) | {"met": change.met})
    return found


def changes_of(rounds: Sequence[tuple[Figures, Figures]]) -> Iterator[Change]:
    """What rounds of one probe came to: this checkout's figures, and the other's."""
    for name in rounds[0][0]:
        pairs = [(ours[name], base[name]) for ours, base in rounds]
        yield Change(
            name,
            spread_of([ours for ours, _ in pairs]),
            spread_of([base for _, base in pairs]),
            spread_of([ours / base for ours, base in pairs]),
        )


def line_of(found: Change) -> str:
    """One line for people."""
    ratio = found.ratio
    return (
        f"bar footprint {'met ' if found.met else 'MISS'} {ratio.median:5.2f} "
        f"({ratio.lowest:.2f} to {ratio.highest:.2f}) <= {BOUND:.2f}  {found.name}: "
        f"{found.ours.median:,.2f}, base {found.base.median:,.2f}"
    )


def _probes() -> Iterable[Probe]:
    yield _start
    yield _memory
    yield _registrations
    if not etcd_program.unavailable():
        yield _group_registrations


def _start(checkout: Checkout) -> Figures:
    """``--help`` of each console script, the least of several."""
    found = {}
    for role in ("broker", "publisher", "subscriber"):
        command = (checkout.program(f"pubsub-{role}"), "--help")
        runs = [_run(command) for _ in range(_STARTS)]
        found[f"start of pubsub-{role}, ms"] = min(took for took, _ in runs)
        found[f"start of pubsub-{role}, CPU ms"] = min(cpu for _, cpu in runs)
    return found


def _run(command: Sequence[str]) -> tuple[float, float]:
    """How long a command takes, and its processor time, in milliseconds."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - began
    process.returncode = 0  # it has been waited for
    return took_s * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def _memory(checkout: Checkout) -> Figures:
    """Resident memory of idle roles."""
    return {
        f"memory of an idle {role}, MiB": kib / 1024
        for role, kib in idle_kib(checkout=checkout).items()
    }


def _registrations(checkout: Checkout) -> Figures:
    """Many subscribers register at one broker."""
    found = register(_CLIENTS, checkout=checkout)
    return {
        "a registration, us": found.took_s / _CLIENTS * 1e6,
        "a registration, CPU us of the broker": found.cpu_s / _CLIENTS * 1e6,
        "memory of the broker for a subscriber, KiB": found.grown_kib / _CLIENTS,
    }


def _group_registrations(checkout: Checkout) -> Figures:
    """The same at a broker of a group, with etcd."""
    with running_group(1, ["-c"], checkout=checkout) as group:
        [broker] = group.brokers
        before_ns = broker.processor_ns()
        with registered(broker.port, _GROUP_CLIENTS) as took_s:
            cpu_us = (broker.processor_ns() - before_ns) / 1000
    return {
        "a registration in a group, us": took_s / _GROUP_CLIENTS * 1e6,
        "a registration in a group, CPU us of the broker": cpu_us / _GROUP_CLIENTS,
    }

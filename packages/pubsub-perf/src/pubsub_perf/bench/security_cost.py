"""Measures what keys and encryption cost: secure runs against plain ones.

Ours over ours, and the yardstick over the yardstick: that one is what libzmq's encryption
costs by itself, the floor.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pubsub_common.security.keys import configure_curve_client, load_client_keys
from pubsub_perf.bench import bytecode
from pubsub_perf.bench.footprint import Fact, idle_kib, register
from pubsub_perf.bench.systems import OURS, RAW
from pubsub_perf.bench.targets import RATE_PER_S, Comparison, Target
from pubsub_perf.bench.workload.scenario import Scenario
from pubsub_perf.experiment.role_keys import make_keys

SIZES: Final = (16, 256, 1024, 65_536)
OURS_BAR: Final = 10
RAW_BAR: Final = 11
_CLIENTS: Final = 200
# More connections at once than a listening socket has room for wait a second for TCP.
_AT_ONCE: Final = 50


def comparisons() -> Iterator[Comparison]:
    """All pairs of runs, a secure one and a plain one."""
    for brokered in (False, True):
        route = "brokered" if brokered else "direct"
        for size in SIZES:
            scenario = Scenario("throughput", size, brokered=brokered)
            yield _pair(f"{route}, {size} B", scenario, OURS)
            batched = dataclasses.replace(scenario, sending="list", receiving="batches")
            yield _pair(f"{route}, {size} B, batches", batched, OURS)
            yield _pair(f"{route}, {size} B, plain pyzmq", scenario, RAW)
        for subscribers in (1, 8):
            scenario = Scenario(
                "latency", 64, subscribers, brokered=brokered, rate=RATE_PER_S
            )
            name = f"{route}, 64 B, {subscribers} subscribers, 1000 events/s"
            yield _pair(name, scenario, OURS)
            yield _pair(f"{name}, plain pyzmq", scenario, RAW)


def _pair(name: str, plain: Scenario, system: str) -> Comparison:
    bar = OURS_BAR if system == OURS else RAW_BAR
    if plain.kind == "latency":
        targets = (Target(bar, "p50_us", None), Target(bar, "p99_us", None))
    else:
        targets = (Target(bar, "rate", None), Target(bar, "cpu_s_per_million", None))
    secure = dataclasses.replace(plain, secure=True)
    return Comparison(f"secure/plain: {name}", secure, targets, plain, system, system)


def facts(repetitions: int) -> list[Fact]:
    """Memory and registrations, with and without keys in turn; medians."""
    memory: dict[str, list[tuple[int, int]]] = {}
    took: list[tuple[float, float]] = []
    with bytecode.written(), tempfile.TemporaryDirectory() as name:
        keys = make_keys(Path(name) / "keys", ["client"])
        client = load_client_keys(keys.client("client"))
        words = keys.broker_words()
        for _ in range(max(3, repetitions)):
            plain = idle_kib()
            for role, kib in idle_kib(words, *keys.client_words("client")).items():
                memory.setdefault(role, []).append((plain[role], kib))
            slow = register(
                _CLIENTS,
                words,
                lambda socket: configure_curve_client(
                    socket, client.pair, client.broker
                ),
                at_once=_AT_ONCE,
            )
            took.append((register(_CLIENTS, at_once=_AT_ONCE).took_s, slow.took_s))
    more = {
        role: statistics.median(kib - plain for plain, kib in found) / 1024
        for role, found in memory.items()
    }
    both = [statistics.median(times) for times in zip(*took, strict=True)]
    kinds = zip(("plain", "secure"), both, strict=True)
    return [
        *(
            Fact(OURS_BAR, f"memory of an idle {role}, more with keys", value, "MiB")
            for role, value in more.items()
        ),
        *(
            Fact(OURS_BAR, f"{_CLIENTS} subscribers register, {kind}", took_s, "s")
            for kind, took_s in kinds
        ),
    ]

#!/usr/bin/env python3
"""What a registration costs in the broker's core when there are 10,000 clients.

    benchmarks/registration_cost.py [--add-to FILE]

``FILE`` is what ``pubsub-perf bench --out`` wrote; the figures join its ``facts``. They are
measured here and not there because they need the broker's internals: 10,000 real clients
would need as many connections.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

from pubsub_broker.control.core import BrokerCore
from pubsub_broker.control.effects import Send
from pubsub_broker.registry.memory import MemoryRegistry
from pubsub_common.protocol.messages import Register
from pubsub_common.protocol.versions import VERSIONS
from pubsub_perf.bench.footprint import Fact, subscriber_request

BAR: Final = 7
FEW: Final = 100
MANY: Final = 10_000
REPETITIONS: Final = 5


def measure(few: int = FEW, many: int = MANY) -> list[Fact]:
    """The cost of a registration among ``many`` clients over that among ``few``, and
    notifications per client that matches."""
    ratios = []
    for _ in range(REPETITIONS):
        # As many of either: the speed of a shared machine changes within a second.
        small_s = sum(_core_s(few) for _ in range(many // few))
        ratios.append(_core_s(many) / small_s)
    pushed, matching = pushes(many)
    return [
        Fact(
            BAR,
            f"cost of a registration, {many:,} clients / {few}",
            round(statistics.median(ratios), 2),
            "times",
            1.5,
        ),
        Fact(
            BAR,
            f"notifications for {matching} matching of {many:,} subscribers",
            pushed / matching,
            "each",
            1.0,
        ),
    ]


def _core_s(clients: int) -> float:
    core = _core()
    requests = [(b"%d" % n, subscriber_request(n)) for n in range(clients)]
    began = time.perf_counter()
    for number, (peer, request) in enumerate(requests):
        core.handle(peer, request, number * 1e-5)
    return time.perf_counter() - began


def pushes(clients: int) -> tuple[int, int]:
    """How many pushes a publisher's join causes, and how many subscribers match."""
    core = _core()
    for number in range(clients):
        core.handle(b"%d" % number, subscriber_request(number), 0.0)
    core.tick(1.0)
    join = Register(
        id=1,
        versions=VERSIONS,
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
        MemoryRegistry(),
        epoch=1,
        lease_s=60.0,
        max_clients=1_000_000,
        new_session=lambda: next(sessions),
        ports=lambda _topics: {},
        forwarded=lambda: 0,
        clock_ns=lambda: 0,
        now=0.0,
    )


def add_to(document: dict[str, Any], facts: list[Fact]) -> None:
    """Put ``facts`` among those of a benchmark's document, in place of earlier ones."""
    names = {fact.name for fact in facts}
    kept = [fact for fact in document["facts"] if fact["name"] not in names]
    document["facts"] = kept + [fact.document() for fact in facts]


def main(argv: list[str]) -> int:
    if argv and (argv[0] != "--add-to" or len(argv) != 2):
        print(__doc__)
        return 2
    facts = measure()
    for fact in facts:
        print(f"{fact.value:.2f} {fact.unit}, at most {fact.bound:g}: {fact.name}")
    if argv:
        file = Path(argv[1])
        document = json.loads(file.read_text(encoding="utf-8"))
        add_to(document, facts)
        file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ours against other systems, in turn within one run: the table of `pubsub-perf bench --calls`,
with a line for each peer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from peer_systems.registry import PEER_SYSTEMS, load
from pubsub_perf.bench.in_turn import bars
from pubsub_perf.bench.in_turn.bars import BARS, Bar, full_speed, paced
from pubsub_perf.bench.in_turn.cells import (
    BLOCK,
    KIB,
    LINES,
    MIB,
    ROUTES,
    SHARED,
    VIEWS,
    Cell,
    Line,
    Route,
)
from pubsub_perf.bench.in_turn.rounds import Say, run_table
from pubsub_perf.bench.systems import OURS

# Zenoh's payload is a view; this line copies each, as a program does that keeps it.
ZENOH_BYTES: Final = "zenoh-shm bytes"


def _large(line: str, peer: str) -> Iterator[Bar]:
    """Large events on one host, against the peer with shared memory."""
    where = full_speed("direct", 64 * KIB, MIB)
    frames = (Cell("direct", MIB, 1, 100.0), Cell("direct", MIB, 4, 100.0))
    yield Bar("large", line, peer, "rate", 1.3, where)
    yield Bar("large", line, peer, "cpu_s_per_million", 0.8, where)
    yield Bar("large", line, peer, "p50_us", 1.0, frames)


PEER_BARS: Final = (
    *BARS,
    *(
        Bar("drop", OURS, peer, "p50_us", bound, paced("brokered", count))
        for peer in ("nats", "mosquitto")
        for count, bound in ((1, 1.1), (8, 1.0))
    ),
    *_large(VIEWS, "zenoh-shm"),
    *_large(SHARED, ZENOH_BYTES),
    *_large(SHARED, "zenoh-shm"),
    *(
        Bar(
            "large-brokered",
            line,
            "mosquitto",
            "rate",
            1.0,
            full_speed("brokered", 64 * KIB),
        )
        for line in (OURS, BLOCK)
    ),
)


def lines() -> Iterator[Line]:
    """Ours, the peers that are there, and the reference."""
    *ours, reference = LINES
    yield from ours
    for name, peer in PEER_SYSTEMS.items():
        routes = tuple(route for route in ROUTES if _reason(name, route) is None)
        if routes:
            yield Line(name, peer.module, routes, shared_memory=peer.large_only)
        if routes and name == "zenoh-shm":
            yield Line(
                ZENOH_BYTES,
                peer.module,
                routes,
                receiving="bytes",
                shared_memory=True,
            )
    yield reference


def _reason(name: str, route: Route) -> str | None:
    return load(name).unavailable(brokered=route == "brokered")


def missing() -> dict[str, str]:
    """The peers that are not there, and the reason of each."""
    found = {}
    for name in PEER_SYSTEMS:
        reasons = [_reason(name, route) for route in ROUTES]
        if None not in reasons:
            found[name] = str(reasons[0])
    return found


def chosen(names: Sequence[str] | None, only: str) -> list[tuple[Cell, list[Line]]]:
    """The cells with ``only`` in their names, for these bars; None for the whole table."""
    cells = bars.all_cells if names is None else bars.needed_cells
    return list(cells(bars.asked(names, PEER_BARS), list(lines()), only))


def run(
    cells: Sequence[tuple[Cell, list[Line]]],
    names: Sequence[str] | None,
    repetitions: int,
    seconds: float,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Run cells on every system that is there, and return the results; ``keep`` is given all of
    them after each cell."""
    absent = missing()
    for name, reason in absent.items():
        say(f"{name}: left out: {reason}")
    peers = {
        name: {
            "title": peer.title,
            "version": peer.version(),
            "settings": peer.settings,
            "gives": peer.gives,
        }
        for name, peer in PEER_SYSTEMS.items()
        if name not in absent
    }
    more = {"peers": peers, "missing": absent, "lines": [line.name for line in lines()]}
    return run_table(
        cells,
        bars.asked(names, PEER_BARS),
        repetitions,
        seconds,
        say,
        lambda found: keep({**found, **more}),
    )

"""The cells of the table, and its lines: the kinds of call and the systems that run in each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pubsub_perf.bench.systems import OURS, OURS_AIO, RAW
from pubsub_perf.bench.workload.job import JobKind, Receiving, Sending
from pubsub_perf.bench.workload.scenario import Overflow, Scenario

Route = Literal["direct", "brokered"]
ROUTES: Final[tuple[Route, ...]] = ("direct", "brokered")
KIB: Final = 1024
MIB: Final = 1024 * KIB
SIZES: Final = (16, 256, KIB, 64 * KIB, MIB)
SUBSCRIBERS: Final = (1, 4)
# Size, rate and subscribers of the cells for latencies: small events, and camera frames.
PACED: Final = (
    (64, 1000.0, (1, 8)),
    (MIB, 100.0, (1, 4)),
)
# A message holds only a few larger events: publishing many at once then gains nothing.
_MANY_BELOW: Final = 16 * KIB


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """What every line of it does: a size, a route, a number of subscribers, and a rate, 0 for
    as fast as possible."""

    route: Route
    payload_bytes: int
    subscribers: int
    rate: float = 0.0

    @property
    def kind(self) -> JobKind:
        """Whether it is for the rate or for latencies."""
        return "latency" if self.rate else "throughput"

    @property
    def name(self) -> str:
        """Like ``direct, 64 B, 8 subscribers, 1,000 events/s``."""
        plural = "" if self.subscribers == 1 else "s"
        paced = f", {self.rate:,.0f} events/s" if self.rate else ""
        return (
            f"{self.route}, {size_text(self.payload_bytes)}, "
            f"{self.subscribers} subscriber{plural}{paced}"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A system, or one kind of call of ours. ``routes`` are those that it is measured on. A call
    that publishes many events has neither latencies nor large events, and shared memory is for
    large events only. ``paced_only``: it runs where latencies are measured. ``of_base``: its roles
    are those of the checkout that this one is compared with."""

    name: str
    system: str
    routes: tuple[Route, ...] = ROUTES
    sending: Sending = "event"
    receiving: Receiving = "iterate"
    overflow: Overflow = "drop"
    shared_memory: bool = False
    paced_only: bool = False
    of_base: bool = False

    def runs_in(self, cell: Cell) -> bool:
        """Whether it is measured in this cell."""
        small = cell.payload_bytes < _MANY_BELOW
        if (self.shared_memory and small) or (self.paced_only and not cell.rate):
            return False
        single = self.sending == "event"
        return cell.route in self.routes and (
            single or (small and cell.kind == "throughput")
        )

    def scenario(self, cell: Cell) -> Scenario:
        """What a run of this line in this cell does."""
        return Scenario(
            cell.kind,
            cell.payload_bytes,
            cell.subscribers,
            brokered=cell.route == "brokered",
            sending=self.sending,
            receiving=self.receiving,
            shared_memory=self.shared_memory,
            overflow=self.overflow,
            rate=cell.rate,
        )


RECEIVE: Final = "pubsub, receive"
ASYNCIO: Final = "pubsub, asyncio"
ASYNCIO_RECEIVE: Final = "pubsub, asyncio receive"
LIST: Final = "pubsub, list"
GENERATOR: Final = "pubsub, generator"
BLOCK: Final = "pubsub, block"
SHARED: Final = "pubsub, shm"
VIEWS: Final = "pubsub, shm views"
# All lines of this package, the reference last.
LINES: Final = (
    Line(OURS, OURS),
    Line(RECEIVE, OURS, ("direct",), receiving="receive"),
    Line(ASYNCIO, OURS_AIO, ("direct",)),
    Line(ASYNCIO_RECEIVE, OURS_AIO, ("direct",), receiving="receive", paced_only=True),
    Line(LIST, OURS, sending="list", receiving="batches"),
    Line(GENERATOR, OURS, ("direct",), sending="generator", receiving="batches"),
    Line(SHARED, OURS, ("direct",), shared_memory=True),
    Line(VIEWS, OURS, ("direct",), receiving="views", shared_memory=True),
    Line(BLOCK, OURS, ("brokered",), overflow="block"),
    Line(RAW, RAW),
)


def at_base(name: str) -> str:
    """The name of the same line of the checkout that this one is compared with."""
    return f"{name} (base)"


def with_base(lines: Sequence[Line]) -> list[Line]:
    """``lines``, with each of ours followed by the same of another checkout."""
    found = []
    for line in lines:
        found.append(line)
        if line.system in (OURS, OURS_AIO):
            name = at_base(line.name)
            found.append(dataclasses.replace(line, name=name, of_base=True))
    return found


def cells() -> Iterator[Cell]:
    """All cells."""
    for route in ROUTES:
        for subscribers in SUBSCRIBERS:
            for size in SIZES:
                yield Cell(route, size, subscribers)
        for size, rate, counts in PACED:
            for subscribers in counts:
                yield Cell(route, size, subscribers, rate)


def size_text(size: int) -> str:
    """``16 B``, ``64 KiB``, ``1 MiB``."""
    if size % MIB == 0:
        return f"{size // MIB} MiB"
    return f"{size // KIB} KiB" if size % KIB == 0 else f"{size} B"

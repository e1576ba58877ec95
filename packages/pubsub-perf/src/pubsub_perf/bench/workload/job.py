"""The work of one process of a benchmark run, and its result."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Part = Literal["publisher", "subscriber"]
JobKind = Literal["throughput", "latency"]
# How a program publishes and receives, where a system has several kinds of call.
Sending = Literal["event", "list", "generator"]
Receiving = Literal["iterate", "receive", "batches", "views", "bytes"]
TOPIC: Final = "bench"
# Events between two looks at the clock.
BURST: Final = 64
# Every system warms up for at least so long, with the same work, before it is measured (or as long
# as it is measured, if that is less).
WARM_UP_S: Final = 0.3


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """One publisher's or subscriber's part in a run.

    A publisher warms up (`JobRun.parts`). Then it sends events of ``payload_bytes`` for
    ``seconds``: as fast as it can
    (throughput) or ``rate`` a second by an absolute schedule (latency); then one of
    another size, which ends its subscribers. In a latency run the first eight bytes of a
    payload are the time before its publish call, in nanoseconds, little-endian. ``sending``
    and ``receiving`` are the kinds of call: ``views`` iterates over payloads that are not
    copied, ``bytes`` copies each, where the usual call of a system does not.
    ``shared_memory``: large events do not pass through TCP, where the system has a choice.
    ``brokered``: events pass through a broker. ``keys`` is the file of keys of all clients,
    where the run is secure. ``ports`` are the run's TCP ports on loopback, by names that
    each system chooses.
    """

    system: str
    part: Part
    kind: JobKind
    payload_bytes: int
    seconds: float
    brokered: bool
    ports: dict[str, int]
    subscribers: int = 1
    rate: float = 0.0
    sending: Sending = "event"
    receiving: Receiving = "iterate"
    shared_memory: bool = False
    index: int = 0
    topics: tuple[str, ...] = (TOPIC,)
    keys: str | None = None

    @property
    def end_bytes(self) -> int:
        """The payload size that says: this was all."""
        return self.payload_bytes + 1

    @property
    def topic(self) -> str:
        """This process's own topic: they take turns."""
        return self.topics[self.index % len(self.topics)]


class JobResult(msgspec.Struct, kw_only=True, frozen=True):
    """What a process found. ``first_ns`` and ``last_ns`` are on the monotonic clock: of
    its first and last event, sent or received. ``cpu_s``: processor time meanwhile, all
    threads. Latencies are in microseconds: as the program feels it, from before the publish call
    to after the receive call, and, where a system has stamps of its own, between these.
    ``shared`` of a publisher's events went by shared memory; None: it does not say."""

    events: int
    first_ns: int
    last_ns: int
    cpu_s: float
    p50_us: float | None = None
    p99_us: float | None = None
    inside_p50_us: float | None = None
    inside_p99_us: float | None = None
    shared: int | None = None

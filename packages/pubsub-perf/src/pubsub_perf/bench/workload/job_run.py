"""Does the work of one process of a benchmark run: its clocks, its rate, its barrier."""

from __future__ import annotations

import gc
import itertools
import select
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Final

from pubsub_common.protocol.events import Event
from pubsub_perf.bench.workload.job import BURST, WARM_UP_S, Job, JobResult

# The longest warm-up, of a system that says when it has settled.
_MOST_WARM_UP_S: Final = 10.0
# A sleep ends late; the rest before an event is spun. Shorter than in a real publisher, so that it
# does not disturb the measurement.
SPIN_NS: Final = 60_000
_GO: Final = "go\n"


class JobRun:
    """The clocks of one process's work, and the barriers before its parts."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.latencies_ns = array("q")
        self.inside_ns = array("q")
        self.paced_count = 0
        self.begin_ns = 0
        # Whether the system works as it will from now on. A publisher warms up until then.
        self.settled: Callable[[], bool] = lambda: True
        self._warming_up = False
        self._end_ns = 0
        self._begin_cpu_s = 0.0

    def parts(self) -> Iterator[None]:
        """The parts of a run, for each of which the caller does the same work: one that warms
        up, and the one that is measured. Each begins when all processes are done with the one
        before."""
        for self._warming_up in (True, False):
            del self.latencies_ns[:], self.inside_ns[:]
            self._barrier()
            yield

    def _barrier(self) -> None:
        """Say that all is set up, and wait until everybody's is."""
        gc.collect()
        gc.freeze()
        say("ready")
        # Most publishers have not read that the part before is over; an end of file ends all.
        while sys.stdin.readline() not in (_GO, ""):
            pass
        self._begin_cpu_s = time.process_time()

    def is_over(self, timeout_s: float) -> bool:
        """Wait until all subscribers have ended this part; False after ``timeout_s`` seconds."""
        over = bool(select.select([sys.stdin], [], [], timeout_s)[0])
        if over:
            sys.stdin.readline()
        return over

    def send_all(
        self,
        burst: Callable[[int], None],
        one: Callable[[], None],
        size: int = BURST,
    ) -> tuple[int, int]:
        """A publisher's work: ``burst(n)`` sends n events at once (``size`` of them
        each time), ``one`` sends one. Returns how many were sent, and when the first was."""
        if self.job.kind == "latency":
            return self._send_paced(one)
        count = 0
        first_ns = self.begin()
        while self.goes_on():
            burst(size)
            count += size
        return count, first_ns

    def begin(self) -> int:
        """Begin to send as fast as possible; returns the time."""
        now_ns = time.monotonic_ns()
        self._end_ns = now_ns + round(self._seconds * 1e9)
        return now_ns

    @property
    def end_bytes(self) -> int:
        """The size of the event that ends this part, for a system that may repeat it: the two
        parts have different ones."""
        return self.job.end_bytes + self._warming_up

    def goes_on(self) -> bool:
        """Whether the time is not over, after `begin`."""
        now_ns = time.monotonic_ns()
        return now_ns < self._end_ns or self._must_settle(now_ns - self._end_ns)

    @property
    def _seconds(self) -> float:
        seconds = self.job.seconds
        return min(WARM_UP_S, seconds) if self._warming_up else seconds

    def _must_settle(self, over_ns: int) -> bool:
        if not self._warming_up or over_ns > _MOST_WARM_UP_S * 1e9:
            return False
        return not self.settled()

    def note(self, now_ns: int, event: Event) -> None:
        """A latency of one of our events, as the program feels it and between its stamps;
        ``now_ns`` is the time at which the receive call returned."""
        self.latencies_ns.append(now_ns - int.from_bytes(event.payload[:8], "little"))
        self.inside_ns.append(event.received_ns - event.published_ns)

    def stream(self, payload: bytes) -> Iterator[bytes]:
        """``payload`` again and again until the time is over, for a publisher that is given a
        generator."""
        self.begin()
        while self.goes_on():
            for _ in range(BURST):
                yield payload

    def _send_paced(self, one: Callable[[], None]) -> tuple[int, int]:
        for _ in self.paced():
            one()
        return self.paced_count, self.begin_ns

    def paced(self) -> Iterator[int]:
        """The numbers of the events of a steady rate, each when it is due, the first at
        ``begin_ns``; afterwards ``paced_count`` says how many there were. The waits between
        block an event loop: the timers of asyncio are too coarse."""
        now_ns = time.monotonic_ns
        self.begin_ns = now_ns() + 1_000_000
        end_ns = self.begin_ns + round(self._seconds * 1e9)
        count = round(self._seconds * self.job.rate)
        for number in itertools.count():
            self.paced_count = number
            if number >= count and not self._must_settle(now_ns() - end_ns):
                return
            due_ns = self.begin_ns + round(number * 1e9 / self.job.rate)
            left_ns = due_ns - now_ns() - SPIN_NS
            if left_ns > 0:
                time.sleep(left_ns / 1e9)
            while now_ns() < due_ns:
                pass
            yield number

    def found(
        self, events: int, first_ns: int, last_ns: int, *, shared: int | None = None
    ) -> JobResult:
        """The result of this part at this time; ``shared`` events went by shared memory."""
        cpu_s = time.process_time() - self._begin_cpu_s
        return JobResult(
            events=events,
            first_ns=first_ns,
            last_ns=last_ns,
            cpu_s=cpu_s,
            shared=shared,
            p50_us=_percentile_us(self.latencies_ns, 50),
            p99_us=_percentile_us(self.latencies_ns, 99),
            inside_p50_us=_percentile_us(self.inside_ns, 50),
            inside_p99_us=_percentile_us(self.inside_ns, 99),
        )


def _percentile_us(values_ns: array[int], percent: float) -> float | None:
    """Nearest rank; None without values."""
    if not values_ns:
        return None
    ordered = sorted(values_ns)
    rank = max(1, -(-len(ordered) * percent // 100))
    return round(ordered[int(rank) - 1] / 1000, 2)


def say(line: str) -> None:
    """Tell the runner."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

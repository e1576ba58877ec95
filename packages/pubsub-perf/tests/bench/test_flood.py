"""The benchmark of floods: what it says, and one short run of each kind."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
import zmq

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Register
from pubsub_perf.bench import flood_client
from pubsub_perf.bench.flood import BOUND, QUIET, FloodRun, line_of, result_of
from pubsub_perf.bench.flood_client import FloodClient, FloodCounts
from pubsub_perf.bench.workload.scenario import Figures

FIGURES = Figures(
    rate=1000.0,
    sent=100,
    received=100,
    lost=0,
    cpu_s_per_million=2.0,
    p50_us=100.0,
    p99_us=200.0,
)


def run(p50_us: float, p99_us: float, missed: int = 0) -> FloodRun:
    figures = dataclasses.replace(FIGURES, p50_us=p50_us, p99_us=p99_us)
    done = FloodCounts(messages=3000, connections=4, closed=3, cpu_s=1.5)
    return FloodRun(figures, (1.0, 3.0), missed, done)


QUIET_RUNS = [run(100, 200), run(100, 200), run(200, 400)]
BUSY_RUNS = [run(100, 400), run(100, 400), run(200, 800)]


def test_ratios_are_of_runs_of_the_same_repetition() -> None:
    found = result_of(
        "centralized",
        "malformed",
        [run(150, 800), run(110, 400), run(300, 1600)],
        QUIET_RUNS,
        BUSY_RUNS,
        2.0,
    )

    assert (found.p50_ratio, found.p99_ratio) == (1.5, 4.0)
    assert (found.p50_to_busy, found.p99_to_busy) == (1.5, 2.0)
    assert (found.p50_us, found.p99_us) == (150, 800)
    assert (found.newcomer_ms, found.newcomer_max_ms) == (2.0, 3.0)
    assert found.messages_per_s == 1000
    assert found.met
    assert "1.50 and 4.00 times quiet, 1.50 and 2.00 times busy" in line_of(found)


@pytest.mark.parametrize(
    ("p99_us", "missed"), [(400 * BOUND + 10, 0), (400, 1)], ids=["late", "missed"]
)
def test_what_is_too_late_or_missing_is_not_met(p99_us: float, missed: int) -> None:
    runs = [run(100, p99_us, missed)]
    found = result_of("centralized", "frames", runs, QUIET_RUNS[:1], BUSY_RUNS[:1], 2.0)

    assert not found.met
    assert ("NOT registered" in line_of(found)) == bool(missed)


def test_what_is_quiet_is_compared_with_nothing() -> None:
    found = result_of("centralized", QUIET, QUIET_RUNS, QUIET_RUNS, BUSY_RUNS, 2.0)

    assert "times" not in line_of(found)


@pytest.mark.parametrize("kind", ["registrations", "malformed", "frames", "connects"])
def test_libzmq_understands_the_flood_client(kind: str) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.rcvtimeo = 30_000
        port = router.bind_to_random_port("tcp://127.0.0.1")
        it = FloodClient(port, 0.5 if kind == "connects" else 60.0)
        thread = threading.Thread(target=it.flood, args=(kind,))
        thread.start()
        try:
            if kind != "connects":
                _peer, frame = router.recv_multipart(copy=False)
                assert frame.get("Peer-Address") == flood_client.ADDRESS
                if kind == "registrations":
                    assert isinstance(messages.decode_request(frame.bytes), Register)
                elif kind == "frames":
                    assert len(frame) == 4 * 1024 * 1024
        finally:
            it._end = min(it._end, time.monotonic() + 0.5)
            thread.join()
        assert it.connections

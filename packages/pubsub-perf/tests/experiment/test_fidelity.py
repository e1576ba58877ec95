"""When a cell's latency is the emulator's and not the system's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.experiment.cpu_monitor import CpuMonitor
from pubsub_perf.experiment.fidelity import MachineLoad, judge

ORDER = ("ok", "strained", "saturated")
PERCENT = st.floats(0, 100)


@pytest.mark.parametrize(
    ("load", "verdict", "said"),
    [
        (MachineLoad(5.0, 10.0, 20.0), "ok", None),
        (MachineLoad(None, None, None), None, "the kernel reports neither"),
        (MachineLoad(None, 10.0, None), "ok", None),
        (MachineLoad(25.0, 10.0, 20.0), "strained", "waited for a processor 25 %"),
        (MachineLoad(5.0, 70.0, 20.0), "strained", "70 % busy"),
        (MachineLoad(5.0, 10.0, 600.0), "strained", "60% of the median"),
        (MachineLoad(70.0, 10.0, 600.0), "saturated", "waited for a processor 70 %"),
        (MachineLoad(5.0, 90.0, 20.0), "saturated", "90 % busy"),
    ],
)
def test_the_verdict_names_what_led_to_it(
    load: MachineLoad, verdict: str | None, said: str | None
) -> None:
    found, reason = judge(load, median_s=0.001)
    assert found == verdict
    assert reason is None if said is None else said in str(reason)


@given(PERCENT, PERCENT, PERCENT, PERCENT)
def test_a_busier_machine_is_never_judged_better(
    pressure: float, more_pressure: float, used: float, more_used: float
) -> None:
    one = judge(MachineLoad(pressure, used, None), None)[0]
    other = judge(
        MachineLoad(max(pressure, more_pressure), max(used, more_used), None), None
    )[0]
    assert ORDER.index(one) <= ORDER.index(other)


def test_a_wait_without_a_median_judges_nothing() -> None:
    assert judge(MachineLoad(0.0, 0.0, 1e9), None) == ("ok", None)


def test_a_process_that_computes_is_seen_and_one_that_sleeps_is_not() -> None:
    def python(body: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", body])

    working = python("while True: pass")
    sleeping = python("import time; time.sleep(60)")
    try:
        pids = {"working": working.pid, "sleeping": sleeping.pid, "gone": 2**22 - 1}
        monitor = CpuMonitor(pids)
        monitor.begin()
        deadline = time.monotonic() + 30
        worked = 0.0
        while worked < 0.3:  # seconds of a processor, however long they take
            assert time.monotonic() < deadline
            monitor.sample()
            monitor.end()
            worked = monitor.cpu_s("working") or 0.0
    finally:
        for process in (working, sleeping):
            process.kill()
            process.wait()
    monitor.end()  # processes that have ended are known as they were seen last
    assert (monitor.cpu_s("working") or 0) >= 0.3
    assert (monitor.cpu_s("sleeping") or 0) < 0.3
    assert monitor.cpu_s("gone") is None
    load = monitor.load()
    assert load.utilisation_percent is not None
    assert 0 < load.utilisation_percent <= 101 * (os.cpu_count() or 1)
    assert load.wait_us is not None


THREAD_THAT_ENDS = """
import threading, time
begun, leave = threading.Event(), threading.Event()
def work():
    while time.thread_time() < 0.2:
        pass
    begun.set()
    leave.wait()
thread = threading.Thread(target=work)
thread.start()
begun.wait()
print("worked", flush=True)
input()
leave.set()
thread.join()
print("ended", flush=True)
input()
"""


def test_the_processor_time_of_a_thread_that_ends_is_not_taken_away() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", THREAD_THAT_ENDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "worked\n"
        monitor = CpuMonitor({"role": process.pid})
        monitor.begin()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ended\n"
        monitor.end()
        process.kill()
    assert monitor.cpu_s("role") is not None
    assert (monitor.cpu_s("role") or 0) >= 0
    assert (monitor.load().utilisation_percent or 0) >= 0


def test_a_thread_that_begins_later_counts_from_its_first_instant() -> None:
    monitor = CpuMonitor({"role": os.getpid()})
    monitor.begin()
    worked, leave = threading.Event(), threading.Event()

    def work() -> None:
        while time.thread_time() < 0.2:
            pass
        worked.set()
        leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    worked.wait()
    monitor.end()
    leave.set()
    thread.join()
    assert (monitor.cpu_s("role") or 0) >= 0.19

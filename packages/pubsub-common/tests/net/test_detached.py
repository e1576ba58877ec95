"""Threads that their starters do not wait for."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pubsub_common.net import detached
from pubsub_common.net.detached import start_awaited, start_detached
from pubsub_common.testing import WAIT_S, wait_for


def test_a_detached_thread_has_its_name_and_is_a_daemon() -> None:
    found: list[tuple[str, bool]] = []

    def look() -> None:
        thread = threading.current_thread()
        found.append((thread.name, thread.daemon))

    assert start_detached(look, "pubsub-look")
    wait_for(lambda: bool(found))
    assert found == [("pubsub-look", True)]


def test_awaited_work_is_done_in_its_thread_and_forgotten() -> None:
    names: list[str] = []
    assert start_awaited(
        lambda: names.append(threading.current_thread().name), "pubsub-close"
    )
    wait_for(lambda: not detached._awaited)
    assert names == ["pubsub-close"]


def test_awaited_work_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("a fault")

    assert start_awaited(fail, "pubsub-close")
    wait_for(lambda: not detached._awaited)
    assert "pubsub-close failed" in caplog.text


def test_without_a_thread_nothing_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "start_detached", lambda *_: False)
    assert not start_awaited(lambda: None, "pubsub-close")
    assert not detached._awaited


@pytest.mark.parametrize(
    "before",
    [
        "",
        # Its thread does not begin.
        "detached._thread.start_new_thread = lambda *_: None",
    ],
)
def test_the_end_of_the_program_waits_for_awaited_work(before: str) -> None:
    code = f"""
import time
from pubsub_common.net import detached
{before}

def work():
    time.sleep(0.2)
    print("done", flush=True)

detached.start_awaited(work, "pubsub-close")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S
    )
    assert (done.stdout, done.stderr) == ("done\n", "")

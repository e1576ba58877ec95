"""First events reach the existing subscribers, and topics without subscribers are
reported.

`make test-long` runs these a hundred times in each model.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.ports import free_port
from support.rings import full_size

from pubsub_common.testing import wait_for

from .conftest import Run, System

PROGRAMS = Path(sys.executable).parent
TIMES = 100 if full_size() else 8


def publish(port: str, *words: str) -> subprocess.CompletedProcess[str]:
    where = ("-b", "127.0.0.1", "--broker-port", port, "--bind-port", "0")
    return subprocess.run(
        [PROGRAMS / "pubsub-publisher", *where, *words],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("model", [["-c"], []], ids=["centralized", "decentralized"])
def test_a_text_that_is_published_at_once_arrives(
    run: Run, tmp_path: Path, model: list[str]
) -> None:
    port = str(free_port())
    run("pubsub-broker", *model, "--port", port)
    client = ("-b", "127.0.0.1", "--broker-port", port, "-t", "x")
    subscriber = run("pubsub-subscriber", *client, "--raw")
    log = tmp_path / "pubsub-broker-0.err"
    wait_for(lambda: " at 127.0.0.1 joined: x" in log.read_text(), "it is there")

    for number in range(TIMES):
        done = publish(port, "-t", "x", "-l", f"text {number}")
        assert (done.returncode, done.stderr) == (0, "")

    assert subscriber.stdout is not None
    for number in range(TIMES):
        assert subscriber.stdout.readline() == f"text {number}\n"


def test_whom_nobody_subscribes_to_is_told(run: Run) -> None:
    port = str(free_port())
    run("pubsub-broker", "--port", port)

    done = publish(port, "-t", "x", "-l", "text")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("pubsub-publisher: nobody subscribed to x; ")
    assert done.stderr.count("\n") == 1


def test_a_program_that_publishes_at_once_is_received(system: System) -> None:
    system.broker()
    subscriber = system.subscriber("x")
    for number in range(TIMES):
        publisher = system.publisher("x")
        publisher.publish_event("x", b"%d" % number)
        publisher.disconnect()
    for number in range(TIMES):
        event = subscriber.receive(timeout_s=30.0)
        assert event is not None
        assert event.payload == b"%d" % number

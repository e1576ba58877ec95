"""Whole systems on loopback: real sockets, real processes, deadlines and no sleeps."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from support import running_roles
from support.ports import free_port
from support.running_roles import Security

from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

WAIT_S = 60.0


class System:
    """Roles that share a broker's port; all end with the test."""

    def __init__(self, stack: contextlib.ExitStack, centralized: bool) -> None:
        self.centralized = centralized
        self.port = free_port()
        self._stack = stack

    def broker(self, **options: Any) -> Broker:
        """A broker with its loop in a thread."""
        options = {"indefinite": True, "port": self.port} | options
        broker = Broker(self.centralized, **options)
        broker.configure()
        thread = threading.Thread(target=broker.event_loop, daemon=True)
        thread.start()

        def end() -> None:
            broker.stop()
            thread.join(WAIT_S)
            broker.disconnect()

        self._stack.callback(end)
        broker.end = end  # type: ignore[attr-defined]
        return broker

    def publisher(self, *topics: str, **options: Any) -> Publisher:
        options = {"bind_port": 0} | options
        publisher = Publisher(topics=topics, broker_port=self.port, **options)
        publisher.configure()
        self._stack.callback(publisher.disconnect)
        return publisher

    def subscriber(self, *topics: str, **options: Any) -> Subscriber:
        options = {"indefinite": True} | options
        subscriber = Subscriber(
            topics=topics,
            centralized=self.centralized,
            broker_port=self.port,
            **options,
        )
        subscriber.configure()
        self._stack.callback(subscriber.disconnect)
        return subscriber


@pytest.fixture(params=[True, False], ids=["centralized", "decentralized"])
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    with contextlib.ExitStack() as stack:
        yield System(stack, request.param)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """The last object ends first."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(params=["plain", "secure"])
def security(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Security | None:
    """Clients with and without keys must behave alike: each test is run with both."""
    if request.param == "plain":
        return None
    security = Security(tmp_path / "keys")
    monkeypatch.setattr(running_roles, "security", security)
    return security


class Run(Protocol):
    def __call__(self, script: str, *words: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start an installed console script; its standard error is in ``NAME-n.err``."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *words: str) -> subprocess.Popen[str]:
        with (tmp_path / f"{script}-{len(started)}.err").open("w") as err:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name(script)), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                cwd=tmp_path,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()

"""Settings and fixtures of this package's tests."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from pubsub_common.net.sockets import end_context


class KeepingContext(zmq.Context[zmq.Socket[bytes]]):
    """Holds on to its sockets, so that all can be closed."""

    # In the class too, because pyzmq takes unknown attributes for options.
    kept: tuple[zmq.Socket[bytes], ...] = ()

    def socket(self, *args: Any, **options: Any) -> zmq.Socket[bytes]:
        socket = super().socket(*args, **options)
        self.kept += (socket,)
        return socket


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A ZeroMQ context that is gone after the test, with all its sockets."""
    context = KeepingContext()
    yield context
    for socket in context.kept:
        socket.close(linger=0)
    end_context(context)


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """The root logger as it was, after a program has set up logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


class BrokerProcess:
    """A broker in a process of its own. Its log is read line by line as far as a test
    asks, and is short enough for the pipe otherwise."""

    def __init__(self, *words: str, code: str | None = None) -> None:
        what = ["-m", "pubsub_broker"] if code is None else ["-c", code]
        self.process = subprocess.Popen(
            [sys.executable, *what, "--bind", "127.0.0.1", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.said(r"broker on 127\.0\.0\.1:(\d+)")[1])

    def said(self, pattern: str) -> re.Match[str]:
        """The next line of the log, which has this."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(pattern, line)
        assert found, line + self.process.stderr.read()
        return found


@pytest.fixture
def broker_process() -> Iterator[Callable[..., BrokerProcess]]:
    """Starts brokers, and ends them after the test."""
    started: list[BrokerProcess] = []

    def start(*words: str, code: str | None = None) -> BrokerProcess:
        started.append(BrokerProcess(*words, code=code))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()

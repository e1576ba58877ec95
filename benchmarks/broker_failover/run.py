"""One run: etcd, brokers, clients, the kill, and the observations."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import zmq

from broker_failover.clients import SAMPLE_S
from broker_failover.samples import Run
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Hello, HelloReply, decode_reply, encode
from pubsub_perf.hosts.local_etcd import local_etcd

_HERE: Final = Path(__file__).resolve().parent.parent
_BROKERS: Final = ("broker 1", "broker 2", "broker 3")
_WORKERS: Final = 10
# Of all clients, and so each of their topics has nine subscribers.
_PUBLISHERS_OF: Final = 10
# More would keep two cores busy with what clients receive, and their heartbeats waiting.
_RATE: Final = 0.5
_START_S: Final = 180.0
_BEFORE_S: Final = 5.0
_ANSWER_MS: Final = 1000


class _Broker:
    """A process, and the counts of its clients."""

    def __init__(self, model: str, registry: str, folder: Path, name: str) -> None:
        self._log = folder / f"{name}.log"
        words = ["--bind", "127.0.0.1", "--port", "0", "--max-registrations-per-second"]
        words += ["1000", "--registry", registry, "--group", "failover"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("pubsub-broker")),
                    *words,
                    *(["-c"] if model == "centralized" else []),
                ],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.address = self._where()
        self.counts: list[tuple[float, int | None]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _where(self) -> str:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            _, found, rest = self._log.read_text().partition(" broker on ")
            if found and "\n" in rest:
                return rest.split()[0].rstrip(",;.")
            time.sleep(0.05)
        raise PubSubError(f"the broker does not start: {self._log.read_text()[-500:]}")

    def clients(self) -> int | None:
        """How many it has; None: it does not answer."""
        return self.counts[-1][1] if self.counts else None

    def _count(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with context, context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(f"tcp://{self.address}")
            while not self._stopped.wait(SAMPLE_S):
                dealer.send(encode(Hello(id=1)))
                answer = None
                if dealer.poll(_ANSWER_MS):
                    reply = decode_reply(dealer.recv())
                    answer = reply.clients if isinstance(reply, HelloReply) else None
                self.counts.append((time.monotonic(), answer))

    def close(self) -> None:
        """Kill it."""
        self._stopped.set()
        self._thread.join()
        self.process.kill()
        self.process.wait()


class _Worker:
    """A process with many clients, and what it prints."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "broker_failover.clients", json.dumps(options)],
            cwd=_HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


def measure(model: str, clients: int, seconds: float) -> Run:
    """Kill the broker that has all clients, and look for so long.

    Raises:
        ConfigError: there is no etcd.
        PubSubError: something does not start.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = stack.enter_context(local_etcd(3)).registry
        first, *others = _BROKERS
        brokers = {first: _started(stack, model, registry, folder, first)}
        workers = [
            stack.enter_context(contextlib.closing(_Worker(options)))
            for options in _shares(model, clients, brokers[first].address)
        ]
        _wait(lambda: all(worker.lines for worker in workers), workers, "all connect")
        # They learn of these by the first one, so that all of them are there at first.
        for name in others:
            brokers[name] = _started(stack, model, registry, folder, name)
        _wait(lambda: brokers[first].clients() == clients, workers, "all are there")
        time.sleep(_BEFORE_S)
        brokers[first].process.kill()
        killed_s = time.monotonic()
        time.sleep(seconds)
        for worker in workers:
            worker.close()
        return Run(
            model=model,
            total=clients,
            published_a_second=_RATE * clients / _PUBLISHERS_OF,
            received=_rates(workers, killed_s),
            clients={
                name: [(round(at_s - killed_s, 3), n) for at_s, n in each.counts]
                for name, each in brokers.items()
            },
            lost=sum(worker.lines[-1]["lost"] for worker in workers),
        )


def _started(stack: contextlib.ExitStack, *words: Any) -> _Broker:
    return stack.enter_context(contextlib.closing(_Broker(*words)))


def _shares(model: str, clients: int, broker: str) -> Iterator[dict[str, Any]]:
    """The options of each worker."""
    publishers = clients // _PUBLISHERS_OF
    subscribers = clients - publishers
    for number in range(_WORKERS):
        yield {
            "broker": broker,
            "publishes": [f"T{n}" for n in range(number, publishers, _WORKERS)],
            "subscribes": [
                f"T{n % publishers}" for n in range(number, subscribers, _WORKERS)
            ],
            "rate": _RATE,
            "recover": model == "centralized",
        }


def _wait(condition: Any, workers: list[_Worker], what: str) -> None:
    deadline = time.monotonic() + _START_S
    while not condition():
        ended = any(worker.process.poll() is not None for worker in workers)
        if ended or time.monotonic() > deadline:
            raise PubSubError(f"not so: {what}")
        time.sleep(SAMPLE_S)


def _rates(workers: list[_Worker], killed_s: float) -> list[tuple[float, float]]:
    """Events per second of all workers, with samples at slightly different times."""
    received: dict[int, int] = defaultdict(int)
    for worker in workers:
        for line in worker.lines[1:-1]:
            received[round((line["at_s"] - killed_s) / SAMPLE_S)] += line["received"]
    times = sorted(received)[1:-1]  # not all workers are in the first and the last
    return [(round(n * SAMPLE_S, 3), received[n] / SAMPLE_S) for n in times]

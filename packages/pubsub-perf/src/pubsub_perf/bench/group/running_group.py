"""Brokers on loopback, one alone or a group with etcd of its own."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.files import last_lines
from pubsub_perf.bench.checkout import HERE, Checkout
from pubsub_perf.bench.footprint import memory_kib
from pubsub_perf.bench.group.asking import ask_hello
from pubsub_perf.bench.workload.ports import free_ports, wait_for_port
from pubsub_perf.experiment.cpu_monitor import processor_ns
from pubsub_perf.hosts.local_etcd import LocalEtcd, local_etcd
from pubsub_perf.hosts.namespaces import die_with_parent

NAME: Final = "bench"
# On a machine that is busy; etcd is asked before the broker listens.
_START_S: Final = 90.0
_END_S: Final = 10.0
_POLL_S: Final = 0.02


class GroupBroker:
    """One broker process at control port ``port`` of loopback."""

    def __init__(
        self, port: int, words: Sequence[str], log: Path, checkout: Checkout
    ) -> None:
        self.port = port
        self._log = log
        program = checkout.program("pubsub-broker")
        command = [program, "-i", f"--bind={defaults.LOOPBACK}"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, f"--port={port}", *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                preexec_fn=die_with_parent,
            )

    def processor_ns(self) -> int:
        """Processor time of all its threads so far.

        Raises:
            PubSubError: it has ended.
        """
        found = processor_ns(self._process.pid)
        if found is None:
            said = " / ".join(last_lines(self._log, 1)) or "(its log is empty)"
            raise PubSubError(f"a broker of the benchmark has ended: {said}")
        return found

    def memory_kib(self) -> int:
        """Resident memory."""
        return memory_kib(self._process.pid)

    def kill(self) -> None:
        """As when its machine loses power."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """In order, if it runs."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.kill()


class RunningGroup:
    """Brokers that serve; ``etcd`` is None for one broker without a registry."""

    def __init__(
        self,
        folder: Path,
        etcd: LocalEtcd | None,
        words: Sequence[str],
        checkout: Checkout,
    ) -> None:
        self.etcd = etcd
        self._checkout = checkout
        self.brokers: list[GroupBroker] = []
        self._folder = folder
        self._words = list(words)
        if etcd is not None:
            self._words += [f"--registry={etcd.registry}", f"--group={NAME}"]

    def start(self) -> GroupBroker:
        """One more broker, as soon as it listens.

        Raises:
            PubSubError: it does not.
        """
        (port,) = free_ports(1)
        log = self._folder / f"broker-{len(self.brokers)}.log"
        broker = GroupBroker(port, self._words, log, self._checkout)
        self.brokers.append(broker)
        wait_for_port(port, _START_S)
        return broker

    def end(self) -> None:
        """End all brokers that run."""
        for broker in self.brokers:
            broker.end()

    def wait_until_joined(self) -> None:
        """Wait until each broker knows all of them and reaches the registry.

        Raises:
            PubSubError: one does not.
        """
        deadline = time.monotonic() + _START_S
        for broker in self.brokers:
            while True:
                answer = ask_hello(broker.port, _START_S)
                if not answer.cut_off and len(answer.brokers) >= len(self.brokers):
                    break
                if time.monotonic() > deadline:
                    raise PubSubError("the brokers do not find each other")
                time.sleep(_POLL_S)


@contextlib.contextmanager
def running_group(
    brokers: int,
    words: Sequence[str] = (),
    *,
    members: int = 1,
    checkout: Checkout = HERE,
) -> Iterator[RunningGroup]:
    """A group of so many ``brokers`` of a ``checkout``, each with ``words`` more on its command
    line, and of etcd so many ``members``; without members it is one broker that has no registry.
    All end with the block.

    Raises:
        ConfigError: etcd is not installed.
        PubSubError: something does not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pubsub-bench-")))
        etcd = stack.enter_context(local_etcd(members)) if members else None
        group = RunningGroup(folder, etcd, words, checkout)
        stack.callback(group.end)
        for _ in range(brokers):
            group.start()
        if etcd is not None:
            group.wait_until_joined()
        yield group

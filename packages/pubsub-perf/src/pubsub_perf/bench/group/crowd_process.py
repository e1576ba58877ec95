"""Processes of light subscribers, as the benchmark that starts them sees them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Model
from pubsub_perf.bench.group.crowd import CrowdCounts, CrowdJob
from pubsub_perf.hosts.namespaces import die_with_parent

_POLL_S: Final = 0.1
_END_S: Final = 10.0


class CrowdProcesses:
    """Subscribers over a few processes, so that they keep up. End with the ``with`` block."""

    def __init__(
        self,
        ports: Sequence[int],
        topics: Sequence[Sequence[str]],
        processes: int,
        model: Model = "centralized",
        lease_s: float = defaults.LEASE_S,
    ) -> None:
        """Subscriber i has ``topics[i]``; they register with the brokers at ``ports`` in turn,
        which give them ``lease_s``."""
        self._processes = []
        for number in range(processes):
            own = range(number, len(topics), processes)
            job = CrowdJob(
                model=model,
                lease_s=lease_s,
                ports=_from(ports, number),
                topics=[list(topics[i]) for i in own],
            )
            self._processes.append(_start(job))
        self._subscribers = len(topics)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def counts(self) -> CrowdCounts:
        """What they have received so far.

        Raises:
            PubSubError: one of the processes has ended.
        """
        return self._all("")

    def move(self, ports: Sequence[int]) -> float:
        """All register with the brokers at ``ports`` in turn; the seconds that it takes.

        Raises:
            PubSubError: not all are registered.
        """
        found = self._all(" ".join(map(str, ports)))
        if found.registered < self._subscribers:
            raise PubSubError(
                f"{found.registered} of {self._subscribers} subscribers are registered"
            )
        return found.register_s

    def _all(self, line: str) -> CrowdCounts:
        for process in self._processes:
            _tell(process, line)
        found = [_answer(process) for process in self._processes]
        events: Counter[str] = Counter()
        for each in found:
            events.update(each.events)
        return CrowdCounts(
            registered=sum(each.registered for each in found),
            register_s=max(each.register_s for each in found),
            complete=all(each.complete for each in found),
            still_s=min(each.still_s for each in found),
            events=dict(events),
        )

    def wait_until_registered(self, timeout_s: float) -> None:
        """Raises:
        PubSubError: not all are in time.
        """
        self.wait(lambda found: found.registered == self._subscribers, timeout_s)

    def wait(
        self,
        done: Callable[[CrowdCounts], bool],
        timeout_s: float,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> CrowdCounts:
        """Wait until they have received the requested events; call a function between two checks.

        Raises:
            PubSubError: they have not in time.
        """
        deadline = time.monotonic() + timeout_s
        while not done(found := self.counts()):
            if time.monotonic() > deadline:
                raise PubSubError(
                    f"{found.registered} of {self._subscribers} subscribers are "
                    f"registered, with {sum(found.events.values())} events: too few "
                    f"after {timeout_s:g} s"
                )
            meanwhile()
            time.sleep(_POLL_S)
        return found


def _start(job: CrowdJob) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pubsub_perf.bench.group.crowd"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    process.stdin.flush()
    return process


def _from(ports: Sequence[int], number: int) -> list[int]:
    """The ports in turn, from another one on for each process."""
    start = number % len(ports)
    return [*ports[start:], *ports[:start]]


def _tell(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise PubSubError("a process of subscribers has ended") from None


def _answer(process: subprocess.Popen[bytes]) -> CrowdCounts:
    assert process.stdout is not None
    try:
        return msgspec.json.decode(process.stdout.readline(), type=CrowdCounts)
    except msgspec.DecodeError:
        raise PubSubError("a process of subscribers has ended") from None

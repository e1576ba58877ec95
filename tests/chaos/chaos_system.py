"""A system of real processes with traffic: a broker, publishers and subscribers."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chaos_judge import Verdict, judge, unaccounted
from chaos_logs import PublisherLog, SubscriberLog
from chaos_parts import Loopback, Place, Publisher, Subscriber, UsageWatch
from chaos_processes import WAIT_S, Failed, Process, free_port, wait_for, worker

from pubsub_common.messages import Model

TOPICS: Final = ("A", "B")
# More than any scenario publishes on a topic, so that nothing need be lost.
HISTORY: Final = 20_000


class System:
    """All of it. Leaving the ``with`` block kills what still runs."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        rng: random.Random,
        *,
        recover: bool,
        lease_s: float = 2.0,
        place: Place | None = None,
        broker_options: Sequence[object] = (),
        subscribers: int = 2,
    ) -> None:
        """``recover``: with history and recovery. Publishers wait for ``subscribers``
        before their first event."""
        self.folder = folder
        self.model = model
        self.rng = rng
        self.recover = recover
        self.lease_s = lease_s
        self.place: Place = place or Loopback()
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.broker_process: Process | None = None
        self.broker_address = self.place.address("broker")
        self.port = free_port()
        self._waits_for = subscribers
        self.usage = UsageWatch([])
        self._broker_options = broker_options
        self._ever: list[Process] = []
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._ever:
            if process.alive:
                process.kill()

    # Parts

    @property
    def broker(self) -> Process:
        assert self.broker_process is not None
        return self.broker_process

    def start(self, name: str, argv: Sequence[object], host: str = "broker") -> Process:
        """Run any program on a host."""
        self._number += 1
        process = Process(
            f"{name}.{self._number}", self.place.argv(host, argv), self.folder
        )
        self._ever.append(process)
        return process

    def broker_argv(self) -> list[object]:
        centralized = ["-c"] if self.model == "centralized" else []
        return [
            *worker("chaos_broker"),
            *("--bind", self.broker_address, "--port", self.port),
            *("--lease", self.lease_s, *centralized, *self._broker_options),
        ]

    def start_broker(self) -> None:
        """Run a broker, at the port of the one before."""
        self.broker_process = self.start("broker", self.broker_argv())
        wait_for(
            lambda: " broker on " in self.broker.err or not self.broker.alive,
            "the broker's first words",
        )
        self.broker.check_runs()

    def start_publisher(
        self, name: str, host: str = "broker", **options: Any
    ) -> Publisher:
        """``options`` are those of the worker; ``more`` are the Publisher's."""
        path = self.folder / f"{name}.{self._number}.published"
        more = {"history": HISTORY} if self.recover else {}
        given = {
            "bind_port": free_port(),
            "rate": 200,
            "topics": TOPICS,
            "wait_for": self._waits_for,
            **options,
            "more": more | options.get("more", {}),
        }
        words = given | self._where(host, path) | {"name": f"{name}.{self._number}"}
        argv = [*worker("chaos_publisher"), json.dumps(words)]
        process = self.start(name, argv, host)
        publisher = Publisher(process, PublisherLog(path), given | {"host": host})
        self.publishers.append(publisher)
        return publisher

    def start_subscriber(
        self, name: str, host: str = "broker", **options: Any
    ) -> Subscriber:
        """``options`` are those of the worker; ``more`` are the Subscriber's."""
        path = self.folder / f"{name}.{self._number}.received"
        more = {"recover": True} if self.recover else {}
        given = {"topics": TOPICS, **options, "more": more | options.get("more", {})}
        words = given | self._where(host, path)
        words["centralized"] = self.model == "centralized"
        argv = [*worker("chaos_subscriber"), json.dumps(words)]
        process = self.start(name, argv, host)
        log = SubscriberLog(path, process.name)
        subscriber = Subscriber(process, log, given | {"host": host})
        self.subscribers.append(subscriber)
        return subscriber

    def parts(self) -> list[Publisher | Subscriber]:
        return [*self.publishers, *self.subscribers]

    def _where(self, host: str, log: Path) -> dict[str, Any]:
        return {
            "log": str(log),
            "broker": self.broker_address,
            "broker_port": self.port,
            "address": self.place.address(host),
        }

    # Time

    def refresh(self) -> None:
        """Read what the logs have that is new, and see that nobody has crashed."""
        for part in self.parts():
            part.process.check_runs()
            part.refresh()
        if self.broker_process is not None:
            self.broker_process.check_runs()

    def run_for(self, seconds: float) -> None:
        """Let time pass: how long a fault lasts, or comes after the one before. No
        one waits for anything here."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self.refresh()
            time.sleep(min(left_s, 0.1))

    def run_between(self, least_s: float, most_s: float) -> None:
        """Let a random time pass."""
        self.run_for(self.rng.uniform(least_s, most_s))

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """As `chaos_processes.wait_for`, while nobody may crash."""

        def refreshed() -> object:
            self.refresh()
            return condition()

        wait_for(refreshed, what)

    def living_publishers(self) -> list[Publisher]:
        return [pub for pub in self.publishers if pub.process.alive]

    def living_subscribers(self) -> list[Subscriber]:
        return [sub for sub in self.subscribers if sub.process.alive]

    def wait_flowing(self) -> None:
        """Wait until each living subscriber has events of each living publisher that
        were published after this call."""
        self.wait_for(
            lambda: all(pub.log.session >= 0 for pub in self.living_publishers()),
            "all publishers publish",
        )
        mark = {
            (pub.log.session, topic): pub.log.last(topic)
            for pub in self.living_publishers()
            for topic in TOPICS
        }

        def silent() -> list[str]:
            return [
                f"{sub.process.name} hears {topic} of {pub.process.name}"
                for sub in self.living_subscribers()
                for pub in self.living_publishers()
                for topic in TOPICS
                if sub.log.last((pub.log.session, topic))
                <= mark[pub.log.session, topic] + 1
            ]

        try:
            self.wait_for(lambda: not silent(), "events flow")
        except Failed as error:
            raise Failed(f"{error}; not so: {', '.join(silent()[:6])}") from None

    def begin(self, publishers: int = 2, subscribers: int = 2) -> None:
        """Start everything, and note what the processes hold when all goes well. Every
        other publisher publishes in batches."""
        self.start_broker()
        for index in range(subscribers):
            self.start_subscriber(f"sub{index + 1}")
        for index in range(publishers):
            self.start_publisher(f"pub{index + 1}", batch=10 if index % 2 else 1)
        self.note_usage()

    def note_usage(self) -> None:
        """The system goes as it should: what it holds now, it may hold."""
        self.wait_flowing()
        self.usage = UsageWatch([self.broker, *(p.process for p in self.parts())])

    # The end

    def finish(self) -> Verdict:
        """End everything in good order, and judge.

        Raises:
            Failed: something does not end as it must.
        """
        for process in self._ever:
            process.check_words()
        self.wait_for(
            lambda: all(part.begun for part in self.parts() if part.process.alive),
            "all have begun",
        )
        for publisher in self.living_publishers():
            publisher.process.send(signal.SIGTERM)
        for publisher in self.publishers:
            if not (publisher.process.killed or publisher.process.ended):
                publisher.process.end_after_term()
        self._wait_settled()
        for process in [sub.process for sub in self.living_subscribers()]:
            process.end()
        self.broker.end()
        for part in self.parts():
            part.refresh()
        return self.verdict()

    def _wait_settled(self) -> None:
        """Wait until all subscribers have accounted for all that was published. If they
        never do, the verdict will say what is missing."""
        living = [sub.log for sub in self.living_subscribers()]
        until = time.monotonic() + WAIT_S / 2
        while time.monotonic() < until:
            for part in self.parts():
                part.refresh()
            if not unaccounted([pub.log for pub in self.publishers], living):
                return
            time.sleep(0.1)

    def verdict(self) -> Verdict:
        return judge(
            [pub.log for pub in self.publishers], [sub.log for sub in self.subscribers]
        )

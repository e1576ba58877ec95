"""The processes of a system: how each is started, and with which options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chaos_kinds import Kind
from chaos_logs import PublisherLog, SubscriberLog
from chaos_parts import Loopback, Place, Publisher, Subscriber
from chaos_processes import Process, wait_for, worker
from support.ports import free_port

from pubsub_common.protocol.messages import Model

# More than any scenario publishes on a topic, so that all events can be recovered.
HISTORY: Final = 20_000


class Roles:
    """All processes. Leaving the ``with`` block kills the running ones."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        kind: Kind,
        *,
        recover: bool,
        lease_s: float,
        place: Place | None,
        broker_options: Sequence[object],
        subscribers: int,
    ) -> None:
        """Like `System`."""
        self.folder = folder
        self.model = model
        self.kind = kind
        kind.prepare(folder)
        self.recover = recover
        self.lease_s = lease_s
        self.place: Place = place or Loopback()
        self.publishers: list[Publisher] = []
        self.subscribers: list[Subscriber] = []
        self.broker_process: Process | None = None
        self.broker_address = self.place.address("broker")
        self.port = free_port()
        self.ever: list[Process] = []
        self._waits_for = subscribers
        self._broker_options = broker_options
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.ever:
            if process.alive:
                process.kill()

    @property
    def broker(self) -> Process:
        assert self.broker_process is not None
        return self.broker_process

    def brokers(self) -> list[Process]:
        """The current brokers, without replaced ones."""
        return [] if self.broker_process is None else [self.broker_process]

    def start(self, name: str, argv: Sequence[object], host: str = "broker") -> Process:
        """Run any program on a host."""
        self._number += 1
        process = Process(
            f"{name}.{self._number}", self.place.argv(host, argv), self.folder
        )
        self.ever.append(process)
        return process

    def broker_argv(self) -> list[object]:
        where = ("--bind", self.broker_address, "--port", self.port)
        return [*worker("chaos_broker"), *where, *self.broker_options()]

    def broker_options(self) -> list[object]:
        """The options except the address."""
        centralized = ["-c"] if self.model == "centralized" else []
        options = self.kind.broker_options(
            self.folder, centralized=self.model == "centralized"
        )
        given = (*options, *self._broker_options)
        return ["--lease", self.lease_s, *centralized, *given]

    def start_broker(self) -> None:
        """Run a broker, at the port of the previous one."""
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
        more |= self.kind.publisher(name, self.folder)
        given = {
            "bind_port": 0,
            "rate": self.kind.rate,
            "payload_bytes": self.kind.payload_bytes,
            "topics": self.kind.published(name),
            "wait_for": self._waits_for,
            **options,
            "more": more | options.get("more", {}),
        }
        words = self._where(host, path) | given | {"name": f"{name}.{self._number}"}
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
        more |= self.kind.subscriber(name, self.folder)
        given = {
            "topics": self.kind.subscribed(name),
            **options,
            "more": more | options.get("more", {}),
        }
        words = self._where(host, path) | given
        words["centralized"] = self.model == "centralized"
        argv = [*worker("chaos_subscriber"), json.dumps(words)]
        process = self.start(name, argv, host)
        log = SubscriberLog(path, process.name, given["topics"])
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

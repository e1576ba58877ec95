"""Roles that run during a test: brokers and receivers in threads, console scripts in
processes.

Not tests; imported by those of this folder.
"""

from __future__ import annotations

import datetime
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_broker import Broker
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.protocol import messages
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import ClientStatus, Model, Status, StatusRequest
from pubsub_common.protocol.sequence import Gap
from pubsub_common.security.keys import configure_curve_client
from pubsub_common.testing import wait_for
from pubsub_subscriber import Subscriber

# Longer than anything takes on the busiest machine; only a failing test waits for it.
WAIT_S: Final = 60.0

MODELS: Final[tuple[Model, ...]] = ("centralized", "decentralized")


class Security:
    """A secure broker's folder, with an enrolled publisher and subscriber that have all
    permissions for the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        store = KeyStore(folder)
        store.create()
        now = datetime.datetime.now(datetime.UTC)
        self.publisher = store.enroll("publisher", now=now)
        self.subscriber = store.enroll("subscriber", now=now)
        (folder / "policy.toml").write_text(
            '[clients.publisher]\npublish = ["#"]\nstrength = 9\n'
            '[clients.subscriber]\nsubscribe = ["#"]\n'
        )
        self.keys = store.own_keys()
        self.words = {
            "pubsub-broker": ("--secure", folder),
            "pubsub-publisher": ("--keys", self.publisher),
            "pubsub-subscriber": ("--keys", self.subscriber),
        }


# For the brokers that `status` asks.
security: Security | None = None


class RunningBroker:
    """A broker with its loop in a thread."""

    def __init__(
        self, model: Model, *, port: int | None = None, **options: Any
    ) -> None:
        self.model = model
        self.broker = Broker(
            **{
                "centralized": model == "centralized",
                "indefinite": "max_event_count" not in options,
                "bind": "127.0.0.1",
                "port": port or 0,
                "linger_s": 1.0,
                **options,
            }
        )
        self.broker.configure()
        self.port = self.broker.port
        self._thread = threading.Thread(target=self.broker.event_loop)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the loop has ended by itself."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it normally. A second call does nothing."""
        self.broker.stop()
        self._thread.join()
        self.broker.disconnect()


def status(port: int) -> Status:
    """The status of the broker at ``port``."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvtimeo = round(WAIT_S * 1000)
        if security is not None:
            configure_curve_client(dealer, security.keys.pair, security.keys.broker)
        dealer.connect(f"tcp://127.0.0.1:{port}")
        dealer.send(messages.encode(StatusRequest(id=1)))
        reply = messages.decode_reply(dealer.recv())
    assert isinstance(reply, Status)
    return reply


def registered(port: int, role: messages.Role) -> list[ClientStatus]:
    """The clients of ``role`` that the broker at ``port`` knows."""
    return [client for client in status(port).clients if client.role == role]


class Receiver:
    """Receives all events of a subscriber in a thread. ``most``: of each payload only so many
    bytes are kept, and no view."""

    def __init__(self, subscriber: Subscriber, most: int | None = None) -> None:
        self._most = most
        self.subscriber = subscriber
        self.events: list[Event] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for event in self.subscriber:
            if self._most is not None:
                event.payload = bytes(event.payload[: self._most])
            self.events.append(event)

    def wait_for_events(self, count: int) -> None:
        """Return when ``count`` events have arrived."""
        wait_for(
            lambda: len(self.events) >= count,
            f"{len(self.events)} of {count} events arrived; the rest",
        )

    def wait_for_last(self, sequence: int) -> None:
        """Return when the event with this number has arrived, of any stream."""
        wait_for(
            lambda: bool(self.events) and self.events[-1].sequence == sequence,
            f"event {sequence}",
        )

    def stop(self) -> None:
        """End receiving; the subscriber stays connected."""
        self.subscriber.stop()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the subscriber did not stop"

    @property
    def payloads(self) -> list[bytes]:
        return [event.payload for event in self.events]

    def check_order(self, *, recovers: bool = False) -> None:
        """No duplicates, no disorder, no gaps, no other topics. One that ``recovers`` may
        have dropped events that came late, after they were recovered."""
        # The receiving thread counts a burst before it has delivered all of it.
        wait_for(
            lambda: self.subscriber.counts().received == len(self.events),
            "the delivery of all that was counted",
        )
        expected: dict[tuple[int, str], int] = {}
        for event in tuple(self.events):
            assert event.topic in self.subscriber.topics
            key = (event.session, event.topic)
            assert event.sequence == expected.get(key, event.sequence)
            expected[key] = event.sequence + 1
        counts = self.subscriber.counts()
        assert (counts.lost, counts.reordered) == (0, 0)
        assert recovers or counts.duplicated == 0
        assert self.subscriber.malformed_count == 0


class Gaps(list[Gap]):
    """The arguments of ``on_gap``."""

    @property
    def total(self) -> int:
        return sum(gap.count for gap in self)


class Program:
    """A console script in a process, its output in files."""

    def __init__(self, folder: Path, name: str, *argv: object) -> None:
        self.name = name
        index = len(list(folder.glob("*.err")))
        self._out = folder / f"{index}-{name}.out"
        self._err = folder / f"{index}-{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name(name), *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
            )

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    @property
    def complaint(self) -> str:
        """The only line on standard error, without the program's name."""
        line = self.err
        assert line.startswith(f"{self.name}: "), line
        assert line.endswith("\n"), line
        assert line.count("\n") == 1, line
        return line.removeprefix(f"{self.name}: ").removesuffix("\n")

    def says(self, text: str) -> None:
        """Return when ``text`` is on standard error."""
        wait_for(
            lambda: text in self.err or self.process.poll() is not None,
            f"{self.name}: {text!r}",
        )
        assert text in self.err

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(WAIT_S)

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        self.process.kill()
        self.process.wait(WAIT_S)

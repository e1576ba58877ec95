"""The surroundings of one client in one scenario: a scripted broker, ports, peers, a clock.

All of it runs in one thread: messages are read while a scenario waits (`Stage.until`), so a
scenario is a plain function, and nothing happens between two of its lines.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import zmq

from pubsub_common.defaults import LOOPBACK
from pubsub_common.net.contexts import terminate_context
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Heartbeat, Register, Role
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.client_process import ClientProcess
from pubsub_common.testing.conformance.command import Run, fill_in
from pubsub_common.testing.conformance.findings import Failed, Interrupted
from pubsub_common.testing.conformance.ledger import Ledger, read_line
from pubsub_common.testing.conformance.request_checks import ClientChecks
from pubsub_common.testing.conformance.scripted_broker import ScriptedBroker
from pubsub_common.testing.conformance.transcript import Transcript

_T = TypeVar("_T")

# How long to wait in one turn: a look at the clock, nothing else.
_TURN_S: Final = 0.05
# Short, as `Stage.goes_on` waits for so long.
_LEASE_S: Final = 1.0
# Shorter than a subscriber keeps the connection to a publisher that has left.
_LONGEST_LEASE_S: Final = 2.0
# So long that no heartbeat comes by itself.
LONG_LEASE_S: Final = 120.0
# A publisher that is to continue until the scenario ends it.
MANY: Final = 1_000_000


class Reader(Protocol):
    """An object with a socket to read from."""

    @property
    def socket(self) -> zmq.Socket[bytes] | None: ...
    def read(self) -> None: ...


class Stage:
    """``patience_s`` is how long what must come may take, unless the page says more.

    ``section`` of the page is the one that the scenario tries. ``stopped`` says whether the
    tool is to end.
    """

    def __init__(
        self, role: Role, command: Sequence[str], patience_s: float, section: str
    ) -> None:
        self.role = role
        self.patience_s = patience_s
        # Where all may take long, a client or broker may get no turn for a second.
        self.lease_s = min(max(_LEASE_S, patience_s / 10), _LONGEST_LEASE_S)
        self.section = section
        self.transcript = Transcript()
        self.ledger = Ledger()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.readers: list[Reader] = []
        self.may_end = False
        self.stopped: Callable[[], bool] = lambda: False
        self._command = command
        self._started = time.monotonic()
        self._client: ClientProcess | None = None
        self._checks = ClientChecks(role, ())
        self.broker = ScriptedBroker(
            self.context, self._checks, self.transcript, self.now_s, self.lease_s
        )
        self.readers.append(self.broker)
        self.brokers = [self.broker]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()
        for reader in self.readers:
            if reader.socket is not None:
                reader.socket.close(linger=0)
        for broker in self.brokers:
            broker.give_back_port()
        terminate_context(self.context)

    def another_broker(self) -> ScriptedBroker:
        """A further broker, which the client has not heard of; `broker` is the one where it
        is registered."""
        number = len(self.brokers) + 1
        broker = ScriptedBroker(
            self.context,
            self._checks,
            self.transcript,
            self.now_s,
            self.lease_s,
            number,
        )
        self.brokers.append(broker)
        self.readers.append(broker)
        return broker

    # The client

    def start(self, *topics: str, count: int = MANY, interval_s: float = 0.02) -> None:
        """Start the client, with these topics. A publisher is to publish ``count`` events on
        each, one every ``interval_s`` seconds."""
        self._checks.topics.update(topics)
        run = Run(LOOPBACK, self.broker.port, topics, count, interval_s)
        self._client = ClientProcess(fill_in(self._command, run))

    @property
    def client(self) -> ClientProcess:
        assert self._client is not None, "it was started"
        return self._client

    def join(self, *topics: str) -> Register:
        """Start the client, and wait until it has registered."""
        self.start(*(topics or ("A",)))
        return self.registration()

    def has_long_lease(self) -> None:
        """The client registers again, with a lease so long that it notices no silence. So it
        has read all earlier messages."""
        self.broker.once(
            Heartbeat, lambda asked: [self.broker.alive(asked, known=False)]
        )
        self.broker.lease_s = LONG_LEASE_S
        self.registers_again("`register` after `alive` with `known` false")

    def registration(self, number: int = 1) -> Register:
        """The ``number``-th `register`, as soon as it is there."""
        return self.until(
            lambda: self.broker.of(Register)[number - 1 : number],
            "`register`" if number == 1 else f"`register` {number} times",
        )[0]

    def heartbeats(self, number: int) -> list[Heartbeat]:
        """The next ``number`` heartbeats."""
        before = len(self.broker.of(Heartbeat))
        self.until(
            lambda: len(self.broker.of(Heartbeat)) >= before + number,
            "a heartbeat three times a lease",
            section=page.SESSIONS,
            within_s=self.patience_s + number * self.broker.lease_s,
        )
        return self.broker.of(Heartbeat)[before:]

    def registers_again(self, expected: str, within_s: float | None = None) -> Register:
        """The next `register`, under the session that the client has."""
        before = len(self.broker.of(Register))
        self.until(
            lambda: len(self.broker.of(Register)) > before, expected, within_s=within_s
        )
        return self.broker.of(Register)[before]

    def goes_on(self, expected: str, registered: int | None = None) -> None:
        """The client sends heartbeats as before, and does not register again; ``registered``
        is how often it has, if not as often as is known now. It may if messages were held up
        for so long that a lease passed in silence for it; then it has to do so from there."""
        deadline = time.monotonic() + self.patience_s
        before = 0
        if registered is None:
            registered = len(self.broker.of(Register))
        while registered > before:
            before = registered
            self.heartbeats(3)
            registered = len(self.broker.of(Register))
            if registered > before and (
                time.monotonic() > deadline or not self._held_up_since(before)
            ):
                raise Failed(expected, "another `register`", self.section)

    def _held_up_since(self, registered: int) -> bool:
        """Whether messages were held up between the registration of this number and the last
        one: a client sends one three times a lease."""
        requests = self.broker.requests
        places = [
            place
            for place, (_, request) in enumerate(requests)
            if isinstance(request, Register)
        ]
        times = [at for at, _ in requests[places[registered - 1] : places[-1] + 1]]
        pauses_s = (after - before for before, after in itertools.pairwise(times))
        return max(pauses_s) > self.broker.lease_s / 2

    def leaves(self) -> messages.Disconnect:
        """Ask the client to end; its `disconnect`."""
        self.may_end = True
        self.transcript.went(self.now_s(), "(SIGTERM)")
        self.client.terminate()
        left = self.until(
            lambda: self.broker.of(messages.Disconnect),
            "`disconnect` at SIGTERM",
            section=page.DISCONNECT,
        )[0]
        self.until(
            lambda: self.client.exit_code is not None,
            "the end of the program after SIGTERM",
            section=page.DISCONNECT,
        )
        return left

    def record(self) -> tuple[str, ...]:
        """The messages, and the end of the client's standard error."""
        errors = "" if self._client is None else self._client.errors
        return (
            *self.transcript.lines,
            *(f"stderr: {line}" for line in errors.splitlines()),
        )

    # Waiting

    def now_s(self) -> float:
        """Seconds since the scenario began."""
        return time.monotonic() - self._started

    def until(
        self,
        condition: Callable[[], _T | None],
        expected: str,
        *,
        within_s: float | None = None,
        section: str | None = None,
        seen: Callable[[], str] | None = None,
    ) -> _T:
        """Read messages until ``condition()`` is true, and return its value.

        Raises:
            Failed: it was not in time, or the client ended, or did what it must not.
        """
        before = self.transcript.names.copy()
        wait_s = self.patience_s if within_s is None else within_s
        deadline = time.monotonic() + wait_s
        while not (found := condition()):
            if time.monotonic() >= deadline:
                what = seen() if seen is not None else self.transcript.since(before)
                within = f"{expected} within {wait_s:g} s"
                raise Failed(within, what, section or self.section)
            if self._client is not None and not self.may_end:
                self._check_alive(expected, section)
            self.turn(_TURN_S)
        return found

    def _check_alive(self, expected: str, section: str | None) -> None:
        if self.client.exit_code is not None:
            self.turn(0)  # what it wrote last
            raise Failed(expected, self.client.ended, section or self.section)

    def watch(self, seconds: float) -> None:
        """Read messages for so many seconds: for messages that must not come."""
        deadline = time.monotonic() + seconds
        while (rest_s := deadline - time.monotonic()) > 0:
            self.turn(min(rest_s, _TURN_S))

    def turn(self, wait_s: float) -> None:
        """Read the messages that are there or come within ``wait_s`` seconds.

        Raises:
            Failed: the client did what it must not.
            Interrupted: ``stopped()`` is true.
        """
        if self.stopped():
            raise Interrupted
        poller = zmq.Poller()
        for reader in self.readers:
            if reader.socket is not None:
                poller.register(reader.socket, zmq.POLLIN)
        outputs = set() if self._client is None else set(self._client.open)
        for fd in outputs:
            poller.register(fd, zmq.POLLIN)
        ready = dict(poller.poll(round(wait_s * 1000)))
        for reader in list(self.readers):
            if reader.socket in ready:
                reader.read()
        for fd in outputs & ready.keys():
            for line in self.client.read(fd):
                self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        if self.role == "publisher":
            return  # it may say what it likes
        shown = line.decode(errors="backslashreplace")
        self.transcript.came(self.now_s(), f"stdout: {shown}", "event")
        self.ledger.deliver(read_line(line), self.section)

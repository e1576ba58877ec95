"""A broker's control port that does what a scenario says."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import zmq

from pubsub_common.defaults import LOOPBACK
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    ClockReply,
    Demand,
    Departure,
    Disconnected,
    HelloReply,
    Model,
    PublisherInfo,
    PublishersChanged,
    Registered,
    Reply,
    Request,
)
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing.conformance.bound_socket import bound_socket, reserved_port
from pubsub_common.testing.conformance.request_checks import (
    ClientChecks,
    read_request,
)
from pubsub_common.testing.conformance.transcript import Transcript

_R = TypeVar("_R", bound=Request)
# What answers a request: messages, or bytes that may be none.
Said = Reply | bytes
Answer = Callable[[Request], Sequence[Said]]

# It needs 53 bits, so a client that keeps it in 32 or as a float of 32 bits is noticed.
FIRST_SESSION: Final = 2**53 - 2
# Room for whatever a scenario subscribes to at a publisher's port.
_DEMAND: Final = Demand(subscriptions=20_000, size=2_000_000)


class ScriptedBroker:
    """Registers a client, and says what its attributes say; they may be changed at any time.

    ``revision`` is that of the last push, ``brokers`` are the addresses of those in its group,
    ``clients`` what it answers to `hello`. ``requests`` are all that came, with the time. What
    `once` says answers the next request of its kind instead.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        checks: ClientChecks,
        transcript: Transcript,
        now_s: Callable[[], float],
        lease_s: float,
        number: int = 1,
    ) -> None:
        """``number`` is its own, where there are several."""
        self.session = FIRST_SESSION
        self.epoch = 1_000 * number
        self.lease_s = lease_s
        self.model: Model = "decentralized"
        self.revision = 0
        self.publishers: list[PublisherInfo] = []
        self.ports: dict[str, messages.TopicPort] = {}
        self.owner_idle_s: float | None = None
        self.requests: list[tuple[float, Request]] = []
        self.silent = False
        self.known = True
        self.cut_off = False
        self.brokers: list[str] = []
        self.clients = 1
        self._once: dict[type[Request], deque[Answer]] = {}
        self._context = context
        self._checks = checks
        self._transcript = transcript
        self._now_s = now_s
        self._label = "" if number == 1 else f"(broker {number}) "
        self._peer: bytes | None = None
        self.socket: zmq.Socket[bytes] | None
        # Else another program may have the port while this is down.
        self._keeper = reserved_port()
        self.port: int = self._keeper.getsockname()[1]
        self.socket, _ = bound_socket(context, zmq.ROUTER, self.port)
        self.address = f"{LOOPBACK}:{self.port}"

    # Received

    def of(self, kind: type[_R]) -> list[_R]:
        """The requests of one kind."""
        return [each for _, each in self.requests if isinstance(each, kind)]

    def times_of(self, kind: type[Request]) -> list[float]:
        """When they came, in seconds."""
        return [at for at, each in self.requests if isinstance(each, kind)]

    def once(self, kind: type[_R], *answers: Callable[[_R], Sequence[Said]]) -> None:
        """The next requests of a kind are answered like this, one after the other."""
        self._once.setdefault(kind, deque()).extend(answers)  # type: ignore[arg-type]

    # What it says

    def offer(self, session: int) -> None:
        """The client is given a session, by bytes that a scenario has written itself."""
        self._checks.offer(session)

    def send(self, said: Said) -> None:
        """Say something to the client."""
        if isinstance(said, Registered):
            self._checks.offer(said.session)
        data = said if isinstance(said, bytes) else messages.encode(said)
        if self._peer is None or self.socket is None:
            return
        shown = data.decode(errors="backslashreplace")
        self._transcript.went(self._now_s(), self._label + shown)
        self.socket.send_multipart([self._peer, data])

    def send_parts(self, parts: Sequence[bytes]) -> None:
        """Send frames that are not a message."""
        assert self.socket is not None
        assert self._peer is not None
        self._transcript.went(self._now_s(), f"{len(parts)} frames: {parts!r}")
        self.socket.send_multipart([self._peer, *parts])

    def push(
        self,
        joined: Iterable[PublisherInfo] = (),
        left: Iterable[Departure] = (),
        ports: Mapping[str, messages.TopicPort] | None = None,
        skip: int = 0,
        form: Callable[[Reply], bytes] = messages.encode,
    ) -> None:
        """Tell that publishers came or went. ``skip`` so many revisions before. ``form`` writes
        the message."""
        joined, left = list(joined), list(left)
        gone = {each.session for each in left} | {each.session for each in joined}
        self.publishers = [
            each for each in self.publishers if each.session not in gone
        ] + joined
        self.ports.update(ports or {})
        self.revision += 1 + skip
        push = PublishersChanged(
            revision=self.revision, joined=joined, left=left, ports=dict(ports or {})
        )
        self.send(form(push))

    def tell_brokers(self, *brokers: str) -> None:
        """Tell that these are the brokers of the group from here on."""
        self.brokers = list(brokers)
        self.revision += 1
        self.send(BrokersChanged(revision=self.revision, brokers=self.brokers))

    def registered(self, request: Request, **changes: object) -> Registered:
        """The reply to a registration, with these fields otherwise."""
        reply = Registered(
            id=request.id,
            version=VERSIONS[1],
            session=self.session,
            epoch=self.epoch,
            lease_s=self.lease_s,
            model=self.model,
            revision=self.revision,
            ports=self.ports,
            publishers=self.publishers,
            owner_idle_s=self.owner_idle_s,
            brokers=self.brokers,
        )
        if isinstance(request, messages.Register) and request.role == "publisher":
            changes.setdefault("demand", _DEMAND)
        return _with(reply, changes)

    def alive(self, request: Request, **changes: object) -> Alive:
        """The reply to a heartbeat, with these fields otherwise."""
        reply = Alive(
            id=request.id,
            epoch=self.epoch,
            known=self.known,
            revision=self.revision,
            cut_off=self.cut_off,
        )
        return _with(reply, changes)

    # Its life

    def give_back_port(self) -> None:
        """The port is needed no longer."""
        self._keeper.close()

    def down(self) -> None:
        """Be gone: the port is closed, and so are the connections."""
        self._transcript.went(
            self._now_s(), f"{self._label}(the broker's port is closed)"
        )
        if self.socket is not None:
            self.socket.close(linger=0)
        self.socket = None
        self._peer = None

    def up(self) -> None:
        """Be there again, at the same port."""
        self.socket, _ = bound_socket(self._context, zmq.ROUTER, self.port)
        self._transcript.went(
            self._now_s(), f"{self._label}(a broker of epoch {self.epoch})"
        )

    def restart(self) -> None:
        """Another broker at the same port, which knows nobody."""
        self.down()
        self.epoch += 1
        self.revision = 0
        self.up()

    def reconnect(self) -> None:
        """Lose all connections."""
        self.down()
        self.up()

    def read(self) -> None:
        """Process received messages.

        Raises:
            Failed: the client must not say that.
        """
        while self.socket is not None:
            try:
                peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._peer = peer
            shown = b" | ".join(frames).decode(errors="backslashreplace")
            request = read_request(frames)
            name = type(request).__name__.lower()
            self._transcript.came(self._now_s(), self._label + shown, f"`{name}`")
            self._checks.check(request)
            self.requests.append((self._now_s(), request))
            for said in self._answers(request):
                self.send(said)

    def _answers(self, request: Request) -> Sequence[Said]:
        waiting = self._once.get(type(request))
        if waiting:
            return waiting.popleft()(request)
        if self.silent:
            return []
        match request:
            case messages.Register():
                self.known = True
                return [self.registered(request)]
            case messages.Heartbeat():
                return [self.alive(request)]
            case messages.Disconnect():
                return [Disconnected(id=request.id)]
            case messages.Hello():
                return [
                    HelloReply(
                        id=request.id,
                        epoch=self.epoch,
                        model=self.model,
                        clients=self.clients,
                        cut_off=self.cut_off,
                        brokers=self.brokers,
                    )
                ]
            case messages.ClockRequest():
                now_ns = time.time_ns()
                return [
                    ClockReply(
                        id=request.id,
                        sent_ns=request.sent_ns,
                        received_ns=now_ns,
                        replied_ns=now_ns,
                    )
                ]
        return []


_S = TypeVar("_S", Registered, Alive)


def _with(reply: _S, changes: Mapping[str, object]) -> _S:
    return msgspec.structs.replace(reply, **changes)


def nothing(request: Request) -> Sequence[Said]:
    """No answer."""
    return []

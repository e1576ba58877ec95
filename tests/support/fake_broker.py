"""A hand-written control port of a broker, for tests of one client."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar

import zmq

from pubsub_common.errors import ProtocolError
from pubsub_common.net.contexts import terminate_context
from pubsub_common.net.waker import Waker
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    Hello,
    HelloReply,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Reply,
    Request,
    TopicPort,
)
from pubsub_common.testing import wait_for
from support.ports import bound_port

_M = TypeVar("_M", bound=Request)


class FakeBroker:
    """A control port that registers every client, and records the requests.

    Its attributes may be changed at any time; they apply to the next request.
    """

    def __init__(self, port: int = 0) -> None:
        """``port`` 0: any free one, which `port` then is."""
        self.requests: list[Request] = []
        self.malformed = 0
        self.session = 7
        self.epoch = 1
        self.lease_s = 3600.0  # so that no heartbeat heals a missed wake-up
        self.model: Model = "decentralized"
        self.ports: dict[str, TopicPort] = {}
        self.publishers: list[PublisherInfo] = []
        self.silent = False
        self.ignored: tuple[type[Request], ...] = ()  # requests without an answer
        self.clients = 0  # its answer when asked
        self.cut_off = False
        self.brokers: list[str] = []
        self.knows_sessions = True
        self.refusal: tuple[str, str] | None = None
        self._revision = 0
        self._outbox: list[Reply | bytes] = []
        self._peer = b""
        self._stopping = False
        self._waker = Waker()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.bind(f"tcp://127.0.0.1:{port}")
        self.port = bound_port(self._router)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._waker.wake()
        self._thread.join()
        self._router.close(linger=0)
        terminate_context(self._context)
        self._waker.close()

    def of(self, kind: type[_M]) -> list[_M]:
        """The requests of one kind so far."""
        return [request for request in self.requests if isinstance(request, kind)]

    def farewells(self, count: int = 1) -> list[Disconnect]:
        """The farewells so far, as soon as so many are there: a client does not wait long
        for the reply to its own, and this thread may get no turn in that time."""
        wait_for(lambda: len(self.of(Disconnect)) >= count, f"{count} farewells")
        return self.of(Disconnect)

    def send(self, message: Reply | bytes) -> None:
        """Send ``message`` to the client of the last request."""
        self._outbox.append(message)
        self._waker.wake()

    def tell(
        self,
        joined: Iterable[PublisherInfo] = (),
        left: Iterable[Departure] = (),
    ) -> None:
        """Push that publishers joined or left."""
        self._revision += 1
        self.send(
            PublishersChanged(
                revision=self._revision, joined=list(joined), left=list(left)
            )
        )

    def tell_brokers(self, brokers: list[str]) -> None:
        """Push the brokers of the group."""
        self._revision += 1
        self.brokers = brokers
        self.send(BrokersChanged(revision=self._revision, brokers=brokers))

    @property
    def place(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Act as another broker at the same port, after a farewell; return when the
        client has registered again."""
        registered = len(self.of(Register))
        self.epoch += 1
        self.send(Farewell())
        wait_for(lambda: len(self.of(Register)) > registered, "another registration")

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._waker.fd, zmq.POLLIN)
        while not self._stopping:
            ready = dict(poller.poll())
            self._waker.clear()
            while self._outbox:
                self._reply(self._outbox.pop(0))
            if self._router in ready:
                self._peer, data = self._router.recv_multipart()
                self._answer(data)

    def _answer(self, data: bytes) -> None:
        try:
            request = messages.decode_request(data)
        except ProtocolError:
            self.malformed += 1
            return
        self.requests.append(request)
        silent = self.silent or isinstance(request, self.ignored)
        reply = None if silent else self._reply_to(request)
        if reply is not None:
            self._reply(reply)

    def _reply(self, message: Reply | bytes) -> None:
        data = message if isinstance(message, bytes) else messages.encode(message)
        self._router.send_multipart([self._peer, data])

    def _reply_to(self, request: Request) -> Reply | None:
        match request:
            case Register():
                if self.refusal is not None:
                    code, detail = self.refusal
                    return Error(id=request.id, code=code, detail=detail)
                self.knows_sessions = True
                return Registered(
                    id=request.id,
                    version=1,
                    session=self.session,
                    epoch=self.epoch,
                    lease_s=self.lease_s,
                    model=self.model,
                    revision=self._revision,
                    ports=self.ports,
                    publishers=self.publishers,
                    brokers=self.brokers,
                )
            case Heartbeat():
                return Alive(
                    id=request.id,
                    epoch=self.epoch,
                    known=self.knows_sessions,
                    revision=self._revision,
                    cut_off=self.cut_off,
                )
            case Hello():
                return HelloReply(
                    id=request.id,
                    epoch=self.epoch,
                    model=self.model,
                    clients=self.clients,
                    cut_off=self.cut_off,
                    brokers=self.brokers,
                )
            case Disconnect():
                return Disconnected(id=request.id)
        return None

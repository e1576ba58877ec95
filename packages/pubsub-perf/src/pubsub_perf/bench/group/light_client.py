"""A minimal client for benchmarks: hundreds fit into one process, and cost little compared with the
brokers.

It speaks the control protocol itself, gets the events of its topics, and counts them. It has no
ready handshake; the publisher sends until every client has received an event.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

import zmq

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import Batch, item_at
from pubsub_common.protocol.events import topic_prefix
from pubsub_common.protocol.messages import (
    Alive,
    Disconnect,
    Error,
    Heartbeat,
    Model,
    PublishersChanged,
    Register,
    Registered,
    Role,
    TopicPort,
)
from pubsub_common.protocol.versions import VERSIONS

_LATER: Final = (messages.TOO_FAST, messages.SESSION_IN_USE)
# How long after a registration was refused for now it is asked again.
RETRY_S: Final = 0.25
_REGISTER_S: Final = 120.0
_AT_ONCE: Final = 200


class LightClient:
    """One publisher or subscriber, which registers with one broker after the other."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        role: Role,
        address: str,
        topics: Sequence[str],
        model: Model | None = None,
    ) -> None:
        self.role = role
        self.session: int | None = None
        self.registered = False
        self.told: list[PublishersChanged] = []
        self.counts: dict[str, int] = dict.fromkeys(topics, 0)
        self.moved_at = 0.0  # when it was last sent to another place (time.monotonic)
        self._context = context
        self._address = address
        self._topics = list(topics)
        self._model = model
        self._revision = 0
        self._port = 0
        self._ask_again_at: float | None = None
        self._places: dict[str, str] = {}
        self._sources: dict[str, zmq.Socket[bytes]] = {}
        self.control: zmq.Socket[bytes] | None = None

    def register(self, port: int) -> None:
        """Ask the broker at control port ``port`` of loopback, instead of any other before."""
        if self.control is None or port != self._port:
            if self.control is not None:
                self.control.close()
            self.control = self._context.socket(zmq.DEALER)
            self.control.linger = 0
            self.control.connect(f"tcp://{defaults.LOOPBACK}:{port}")
            self._port = port
        self.registered = False
        self._ask_again_at = None
        self._send(
            Register(
                id=1,
                versions=VERSIONS,
                role=self.role,
                topics=self._topics,
                address=self._address,
                clock="monotonic",
                model=self._model,
                session=self.session,
            )
        )

    def renew(self) -> None:
        """Renew the lease, or ask again where that is due."""
        if self.registered and self.session is not None:
            self._send(Heartbeat(id=2, session=self.session, revision=self._revision))
        elif self._ask_again_at is not None and time.monotonic() > self._ask_again_at:
            self.register(self._port)

    def leave(self) -> None:
        """Tell the broker."""
        if self.session is not None:
            self._send(Disconnect(id=3, session=self.session))
        self.registered = False

    def sources(self) -> list[zmq.Socket[bytes]]:
        """The sockets that events come from."""
        return list(self._sources.values())

    def read_control(self) -> None:
        """Take what the broker has said.

        Raises:
            PubSubError: it refuses the registration for good.
        """
        while self.control is not None:
            try:
                data = self.control.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._heed(messages.decode_reply(data))

    def read_events(self) -> int:
        """Take the events that are there; how many."""
        found = 0
        for source in self._sources.values():
            while True:
                try:
                    frame = source.recv(zmq.NOBLOCK)
                except zmq.Again:
                    break
                end = frame.index(b"\0")
                item = item_at(frame, end)
                count = len(item) if isinstance(item, Batch) else 1
                topic = frame[:end].decode()
                self.counts[topic] = self.counts.get(topic, 0) + count
                found += count
        return found

    def close(self) -> None:
        for socket in (self.control, *self._sources.values()):
            if socket is not None:
                socket.close(0)

    def _heed(self, reply: messages.Reply) -> None:
        if isinstance(reply, Registered):
            self.session, self.registered = reply.session, True
            self._revision = reply.revision
            self._take_from(reply.ports)
        elif isinstance(reply, PublishersChanged):
            self._revision = reply.revision
            self.told.append(reply)
            self._take_from({**self._places, **reply.ports})
        elif isinstance(reply, Alive):
            if not reply.known:
                self.register(self._port)
        elif isinstance(reply, Error):
            if reply.code not in _LATER:
                raise PubSubError(f"a client is refused: {reply.detail}")
            self._ask_again_at = time.monotonic() + RETRY_S
        elif hasattr(reply, "revision"):
            self._revision = reply.revision

    def _take_from(self, ports: Mapping[str, TopicPort]) -> None:
        """Be subscribed at each place to the topics that come from there, and no others."""
        places = {
            topic: port if isinstance(port, str) else f"{defaults.LOOPBACK}:{port}"
            for topic, port in ports.items()
        }
        for topic, place in places.items():
            before = self._places.get(topic)
            if before == place:
                continue
            self.moved_at = time.monotonic()
            if place not in self._sources:
                source = self._context.socket(zmq.SUB)
                source.connect(f"tcp://{place}")
                self._sources[place] = source
            self._sources[place].subscribe(topic_prefix(topic))
            if before is not None:
                self._sources[before].unsubscribe(topic_prefix(topic))
        self._places = dict(places)

    def _send(self, request: messages.Request) -> None:
        assert self.control is not None
        self.control.send(messages.encode(request))


def register_all(clients: Sequence[LightClient], ports: Sequence[int]) -> float:
    """All register with the brokers at ``ports`` in turn, so many at a time that no queue of
    connections to be accepted is full; the seconds until the last one is.

    Raises:
        PubSubError: one is not in time.
    """
    began = time.monotonic()
    for number, client in enumerate(clients):
        client.register(ports[number % len(ports)])
        if number >= _AT_ONCE:
            _finish(clients[number - _AT_ONCE], began)
    for client in clients[-_AT_ONCE:]:
        _finish(client, began)
    return time.monotonic() - began


def _finish(client: LightClient, began: float) -> None:
    """Wait until it is registered."""
    while not client.registered:
        assert client.control is not None
        client.control.poll(round(RETRY_S * 1000))
        client.read_control()
        client.renew()
        if time.monotonic() - began > _REGISTER_S:
            raise PubSubError(f"a client is not registered after {_REGISTER_S:g} s")

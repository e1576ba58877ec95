"""Tools of attackers: hand-written ZeroMQ clients, with and without keys; and the
secure system that they attack.

Not tests; imported by those of this folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import zmq
from zmq.utils.monitor import parse_monitor_message

from pubsub_broker.security import enrollment
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.defaults import REGISTER_LATER_S
from pubsub_common.protocol import messages
from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    encode_event,
    encode_ready_reply,
    parse_ready_request,
    topic_prefix,
)
from pubsub_common.protocol.messages import (
    Disconnect,
    Error,
    Heartbeat,
    Model,
    Register,
    Registered,
    Reply,
    Request,
)
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.security.keys import (
    ClientKeys,
    KeyPair,
    configure_curve_client,
    load_client_keys,
    new_key_pair,
    write_secret,
)
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber
from support.running_roles import WAIT_S, Receiver, RunningBroker

# The clients enrolled from the start.
NAMES: Final = ("alice", "bob", "carol", "mallory")
# No client renews a lease by hand in these tests.
LEASE_S: Final = 300.0

DISCONNECTED: Final = zmq.EVENT_DISCONNECTED
ADMITTED: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED
KEY_REJECTED: Final = zmq.EVENT_HANDSHAKE_FAILED_AUTH
MISMATCH: Final = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
NO_ANSWER: Final = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def register(
    role: messages.Role, topics: Iterable[str], address: str, **fields: Any
) -> Register:
    """A hand-written registration."""
    return Register(
        **{
            "id": 1,
            "versions": VERSIONS,
            "role": role,
            "topics": list(topics),
            "address": address,
            "clock": "realtime",
            **fields,
        }
    )


class Wire:
    """A hand-written client: a socket, and the events of libzmq's monitor."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        pair: KeyPair | None,
        server: str | None,
    ) -> None:
        self.socket = context.socket(kind)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        if pair is not None and server is not None:
            configure_curve_client(self.socket, pair, server)
        self._monitor = self.socket.get_monitor_socket()
        self._seen: list[int] = []

    def connect(self, port: int) -> None:
        self.socket.connect(f"tcp://127.0.0.1:{port}")

    def saw(self, event: int) -> int:
        """How often the monitor reported an event."""
        # A socket that is not used does not subscribe again by itself.
        self.socket.get(zmq.EVENTS)
        with contextlib.suppress(zmq.Again):
            while True:
                parts = self._monitor.recv_multipart(zmq.NOBLOCK)
                self._seen.append(int(parse_monitor_message(parts)["event"]))
        return self._seen.count(event)

    def wait_for(self, event: int, times: int = 1) -> None:
        what = f"{zmq.Event(event)!r}, {times} times"
        try:
            wait_for(lambda: self.saw(event) >= times, what)
        except AssertionError:
            seen = [zmq.Event(each).name for each in self._seen]
            raise AssertionError(f"{what} did not come, but {seen}") from None

    def received(self) -> list[bytes]:
        """The frames that have arrived."""
        frames: list[bytes] = []
        with contextlib.suppress(zmq.Again):
            while True:
                frames += self.socket.recv_multipart(zmq.NOBLOCK)
        return frames

    def next(self) -> bytes:
        """The next frame."""
        assert self.socket.poll(round(WAIT_S * 1000)), "nothing came"
        return self.socket.recv()

    def force(self, message: bytes) -> None:
        """Make an XSUB socket send a message that it would drop: an unsubscription from
        a topic without subscription, which passes as the second part of another
        message."""
        self.socket.setsockopt(zmq.ONLY_FIRST_SUBSCRIBE, 1)
        self.socket.send_multipart([b"x", message])
        self.socket.setsockopt(zmq.ONLY_FIRST_SUBSCRIBE, 0)

    def close(self, linger_ms: int = 0) -> None:
        if not self.socket.closed:
            self.socket.disable_monitor()
            self._monitor.close(linger=0)
            self.socket.close(linger=linger_ms)


class Talker(Wire):
    """Uses the control protocol."""

    def ask(self, request: Request) -> Reply:
        """The answer to a request."""
        return self.ask_raw(messages.encode(request), request.id)

    def ask_raw(self, data: bytes, number: int = -1) -> Reply:
        self.socket.send(data)
        while True:
            reply = messages.decode_reply(self.next())
            if getattr(reply, "id", None) == number:
                return reply

    def registered(self, request: Register) -> Registered:
        reply = self.ask(request)
        while isinstance(reply, Error) and reply.code == messages.TOO_FAST:
            time.sleep(REGISTER_LATER_S)  # like a client
            reply = self.ask(request)
        assert isinstance(reply, Registered), reply
        return reply

    def refused(self, request: Request) -> str:
        """The code of the error reply to a request."""
        reply = self.ask(request)
        assert isinstance(reply, Error), reply
        return reply.code


class Spy(Wire):
    """Connects to a data port and subscribes to any topic, without registering."""

    def subscribe(self, *subscriptions: bytes) -> None:
        for each in subscriptions:
            self.socket.setsockopt(zmq.SUBSCRIBE, each)


class RoguePublisher:
    """A modified publisher: its port admits every client, and it sends any message of
    the test."""

    def __init__(self, scene: Scene, keys: ClientKeys, *topics: str) -> None:
        self.keys = keys
        self.topics = topics
        self._numbers: dict[tuple[int, str], itertools.count[int]] = {}
        self.xpub = scene.context.socket(zmq.XPUB)
        self.xpub.linger = 0
        self.xpub.curve_server = True
        self.xpub.curve_secretkey = keys.pair.secret.encode()
        self._monitor = self.xpub.get_monitor_socket()
        self._events: list[int] = []
        port = self.xpub.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"127.0.0.1:{port}"
        self.subscriptions: set[bytes] = set()
        self.control = scene.talker(keys)
        self.session = self.control.registered(
            register("publisher", topics, self.address)
        ).session

    def look(self) -> set[bytes]:
        """Read subscriptions, and answer ready requests, like every publisher. Returns
        all current subscriptions."""
        with contextlib.suppress(zmq.Again):
            while True:
                message = self.xpub.recv(zmq.NOBLOCK)
                begins, raw = message[:1] == b"\x01", message[1:]
                (self.subscriptions.add if begins else self.subscriptions.discard)(raw)
                question = parse_ready_request(raw)
                if begins and question is not None:
                    self.xpub.send(
                        encode_ready_reply(
                            question.topic,
                            question.session,
                            self.address,
                            self.session,
                            0,
                            question.topics,
                            question.attempt,
                        )
                    )
        return self.subscriptions

    def wait_for_subscribers_of(self, topic: str) -> None:
        def there() -> bool:
            self.look()
            return topic_prefix(topic) in self.subscriptions

        wait_for(there, f"a subscription to {topic!r}")

    def frame(self, topic: str, payload: bytes, session: int | None = None) -> bytes:
        """An event, by default in our own name."""
        session = self.session if session is None else session
        number = next(self._numbers.setdefault((session, topic), itertools.count()))
        return encode_event(
            topic, self.address, session, number, time.time_ns(), payload
        )

    def batch(self, topic: str, *payloads: bytes) -> bytes:
        numbers = self._numbers.setdefault((self.session, topic), itertools.count())
        first, *_ = [next(numbers) for _ in payloads]
        stamps = [time.time_ns()] * len(payloads)
        body = (self.address, self.session, first, stamps, list(payloads))
        return batch_prefix(topic) + encode_batch_body(*body)

    def send(self, *frames: bytes) -> None:
        """One message, of several frames if there are several."""
        self.xpub.send_multipart(frames)

    def connections_ended(self) -> int:
        """How many connections to our port have ended."""
        return self._monitored(DISCONNECTED)

    def handshakes(self) -> int:
        """The number of handshakes so far."""
        return self._monitored(ADMITTED)

    def failed_handshakes(self) -> int:
        return sum(map(self._monitored, (MISMATCH, NO_ANSWER, KEY_REJECTED)))

    def _monitored(self, event: int) -> int:
        with contextlib.suppress(zmq.Again):
            while True:
                parts = self._monitor.recv_multipart(zmq.NOBLOCK)
                self._events.append(int(parse_monitor_message(parts)["event"]))
        return self._events.count(event)

    def close(self) -> None:
        self.xpub.disable_monitor()
        self._monitor.close(linger=0)
        self.xpub.close(linger=0)


_Attacker = TypeVar("_Attacker", Wire, Talker, Spy, RoguePublisher)


class Vault:
    """A secure broker's folder."""

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        self.folder = folder
        self.store = KeyStore(folder)
        self.store.create()
        # Before the broker starts, as it takes a moment to notice new clients.
        for name in NAMES:
            self.store.enroll(name, now=now())
        if policy is not None:
            self.write_policy(policy)

    @property
    def broker(self) -> str:
        """The broker's public key."""
        return self.store.pair().public

    def path(self, name: str) -> Path:
        """A client's file."""
        return self.folder / f"{name}.keys"

    def keys(self, name: str) -> ClientKeys:
        return load_client_keys(self.path(name))

    def revoke(self, name: str) -> None:
        self.store.revoke(name, now=now())

    def let_expire(self, name: str, in_s: float) -> None:
        """The enrollment of a client expires in this many seconds, by the broker's
        clock."""
        clients = self.store.clients()
        until = now() + datetime.timedelta(seconds=in_s)
        clients[name] = dataclasses.replace(clients[name], expires=until)
        write_secret(
            self.folder / "clients.toml",
            enrollment.render(clients.values()),
            replace=True,
        )

    def write_policy(self, text: str) -> None:
        temporary = self.folder / "policy.new"
        temporary.write_text(text)
        os.replace(temporary, self.folder / "policy.toml")  # noqa: PTH105


class Scene:
    """A secure system of one model, and its attackers."""

    def __init__(self, model: Model, vault: Vault, stack: contextlib.ExitStack) -> None:
        self.model = model
        self.centralized = model == "centralized"
        self.vault = vault
        self.stack = stack
        # Before the attackers' context, so that this one ends before the roles.
        self.broker = self._new_broker()
        self.port = self.broker.port
        stack.callback(lambda: self.broker.stop())
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(self.context.term)

    def _new_broker(self, port: int | None = None) -> RunningBroker:
        return RunningBroker(
            self.model,
            port=port,
            secure=self.vault.folder,
            lease_s=LEASE_S,
            linger_s=0.1,
        )

    def restart_broker(self) -> None:
        """Another broker with the same keys at the same port, without clients."""
        self.broker.stop()
        self.broker = self._new_broker(self.port)

    # Honest roles

    def publisher(self, name: str, *topics: str, **options: Any) -> Publisher:
        kind: type[Publisher] = options.pop("kind", Publisher)
        publisher = kind(
            **{
                "broker_port": self.port,
                "topics": topics,
                "bind_port": 0,
                "connect_timeout_s": WAIT_S,
                "linger_s": 0.1,
                "keys": self.vault.path(name),
                **options,
            }
        )
        return self.stack.enter_context(publisher)

    def subscriber(self, name: str, *topics: str, **options: Any) -> Subscriber:
        subscriber = Subscriber(
            **{
                "broker_port": self.port,
                "topics": topics,
                "indefinite": True,
                "centralized": self.centralized,
                "connect_timeout_s": WAIT_S,
                "keys": self.vault.path(name),
                **options,
            }
        )
        return self.stack.enter_context(subscriber)

    def receive(self, name: str, *topics: str, **options: Any) -> Receiver:
        """A subscriber that receives all events."""
        receiver = Receiver(self.subscriber(name, *topics, **options))
        self.stack.callback(receiver.stop)
        return receiver

    def data_port(self, publisher: Publisher) -> tuple[int, str]:
        """The address for a publisher's events, and the key that answers there."""
        if self.centralized:
            (port,) = self.broker.broker.update_send_socket()
            return port, self.vault.broker
        assert publisher._runtime._keys is not None
        return publisher.bind_port, publisher._runtime._keys.pair.public

    # Attackers

    def wire(self, kind: int, keys: KeyPair | None, server: str | None) -> Wire:
        return self._kept(Wire(self.context, kind, keys, server))

    def talker(self, keys: ClientKeys | None) -> Talker:
        """A connected client at the control port."""
        pair = None if keys is None else keys.pair
        server = None if keys is None else keys.broker
        talker = self._kept(Talker(self.context, zmq.DEALER, pair, server))
        talker.connect(self.port)
        return talker

    def spy(
        self, keys: KeyPair | None, port: int, server: str | None, *wants: bytes
    ) -> Spy:
        """A client at a data port."""
        spy = self._kept(Spy(self.context, zmq.SUB, keys, server))
        spy.subscribe(*wants)
        spy.connect(port)
        return spy

    def rogue(self, name: str, *topics: str) -> RoguePublisher:
        """An enrolled client that is registered as a publisher of these topics."""
        return self._kept(RoguePublisher(self, self.vault.keys(name), *topics))

    def _kept(self, attacker: _Attacker) -> _Attacker:
        self.stack.callback(attacker.close)
        return attacker


def publish_until_seen(
    publisher: Publisher, topic: str, payload: bytes, wire: Wire
) -> None:
    """Publish repeatedly until an event has arrived at ``wire``."""

    def arrived() -> int:
        publisher.publish_event(topic, payload)
        return wire.socket.poll(5)

    wait_for(arrived, "an event")


def publish_and_receive(
    publisher: Publisher, topic: str, hearer: Receiver, *payloads: bytes
) -> None:
    """Publish, and return when ``hearer`` has all events."""
    publisher.wait_for_subscribers(1, WAIT_S)
    for payload in payloads:
        publisher.publish_event(topic, payload)
    wait_for(lambda: set(payloads) <= set(hearer.payloads), f"{payloads}")


def stranger(vault: Vault) -> ClientKeys:
    """A client that knows the broker's public key and is not enrolled."""
    return ClientKeys("stranger", new_key_pair(), vault.broker)


def disconnect(session: int) -> Disconnect:
    return Disconnect(id=9, session=session)


def heartbeat(session: int) -> Heartbeat:
    return Heartbeat(id=9, session=session)


MakeScene = Callable[..., Scene]

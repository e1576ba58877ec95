"""One hostile client of each kind, for the budget test
(tests/system/attacks/test_budget.py).

Each is a generator: the code before its first ``yield`` prepares the attack, and each
step after it is a small piece of the attack. When it is stopped, mostly by a
disconnection, it begins again at its next step, like an attacker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import zmq

from pubsub_common.protocol import messages
from pubsub_common.protocol.events import encode_event, ready_topic, topic_prefix
from pubsub_common.protocol.messages import Model, StatusRequest
from pubsub_common.protocol.recovery_messages import RecoveryRequest, recovery_topic
from support.attack_tools import Talker, Wire
from support.hostile_system import HonestClients, HostileSystem, Process
from support.ports import bound_port
from support.running_roles import MODELS, WAIT_S

# The topic that mallory's own publishers and subscribers share with one honest
# subscriber.
SHARED: Final = "shared"
# Connections that one hostile client keeps open.
_CONNECTIONS: Final = 600
_LARGEST: Final = 2**53 - 1
_LARGEST_NS: Final = 2**62 - 1


@dataclasses.dataclass
class Scene:
    """The attacked system."""

    system: HostileSystem
    publishers: HonestClients
    # Their memory is measured with that of the honest clients.
    others: list[Process] = dataclasses.field(default_factory=list)
    pause: threading.Event = dataclasses.field(default_factory=threading.Event)

    def rest(self, seconds: float) -> None:
        """Wait this long, or until the attack ends."""
        self.pause.wait(seconds)


Attack = Callable[[Scene], Iterator[None]]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of hostile clients."""

    name: str
    attack: Attack
    models: tuple[Model, ...] = MODELS
    # Without keys it delays events by some tenths of a second, or ends the forwarding
    # of a topic: SECURITY.md, "Floods of subscriptions" and "Open brokers".
    not_open: bool = False

    def tried(self, model: Model, *, secure: bool) -> bool:
        """Whether it is used in this system."""
        unheld = self.not_open and model == "centralized" and not secure
        return model in self.models and not unheld


KINDS: Final[list[Kind]] = []


def _kind(*models: Model, not_open: bool = False) -> Callable[[Attack], Attack]:
    def add(attack: Attack) -> Attack:
        name = attack.__name__.replace("_", " ")
        KINDS.append(Kind(name, attack, models or MODELS, not_open))
        return attack

    return add


class Attacker:
    """Runs an attack in a thread until `stop`, which raises the attack's exception."""

    def __init__(self, kind: Kind, scene: Scene) -> None:
        self._scene = scene
        self._steps = kind.attack(scene)
        next(self._steps)
        self.steps = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._scene.pause.is_set():
                next(self._steps)
                self.steps += 1
        except BaseException as error:
            self._error = error

    def stop(self) -> None:
        self._scene.pause.set()
        self._thread.join(2 * WAIT_S)
        assert not self._thread.is_alive(), "the attacker does not end"
        if self._error is not None:
            raise self._error


def _send(wire: Wire, data: bytes) -> bool:
    """Send, unless the queue is full, for example when the other side disconnects or is
    slow."""
    try:
        wire.socket.send(data, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def _flood(scene: Scene, wire: Wire, frames: Iterator[bytes]) -> Iterator[None]:
    """Send as fast as the messages are accepted."""
    frame = next(frames)
    while True:
        if _send(wire, frame):
            frame = next(frames)
        else:
            scene.rest(0.002)
        yield


# At the control port


@_kind()
def status_that_is_not_read(scene: Scene) -> Iterator[None]:
    system = scene.system
    keep: list[Talker] = []
    for client in range(4):
        talker = system.talker()
        topics = [f"{client}-{number:04d}-{'x' * 240}" for number in range(4000)]
        talker.registered(system.registration("subscriber", *topics))
        keep.append(talker)
    mute = system.talker(rcvhwm=1, rcvbuf=4096)
    yield
    requests = (messages.encode(StatusRequest(id=n)) for n in itertools.count(1))
    yield from _flood(scene, mute, requests)


@_kind()
def numbers_without_end(scene: Scene) -> Iterator[None]:
    system = scene.system
    talker = system.talker()
    reply = talker.registered(system.registration("subscriber", "numbers"))
    yield
    extremes = {
        "lost": {"numbers": _LARGEST},
        "published": {"numbers": _LARGEST},
        "clock": {"offset_ns": -_LARGEST_NS, "bound_ns": _LARGEST_NS},
        "latency": {
            "count": _LARGEST,
            **dict.fromkeys(("p50_ns", "p99_ns", "max_ns"), _LARGEST_NS),
        },
    }
    for number in itertools.count(1):
        beat = {"type": "heartbeat", "id": number, "session": reply.session}
        for name, value in extremes.items():
            for each in (value, 10**40, float("1e308"), -1):
                _send(talker, json.dumps({**beat, name: each}).encode())
        talker.received()
        scene.rest(0.001)
        yield


@_kind()
def coming_and_going(scene: Scene) -> Iterator[None]:
    system = scene.system
    talkers = [system.talker() for _ in range(4)]
    join = messages.encode(system.registration("subscriber", "t" * 200))
    yield
    for talker in talkers:
        _send(talker, join)
    while True:
        for talker in talkers:
            for reply in map(messages.decode_reply, talker.received()):
                if isinstance(reply, messages.Registered):
                    leave = messages.Disconnect(id=2, session=reply.session)
                    _send(talker, messages.encode(leave))
                _send(talker, join)
        scene.rest(0.001)
        yield


@_kind()
def topics_times_filters(scene: Scene) -> Iterator[None]:
    system = scene.system
    topics = [f"a/b/{number:05d}/x" for number in range(4000)]
    filters = [f"a/+/+/y{number:05d}" for number in range(3999)] + ["#"]
    publisher = messages.encode(system.registration("publisher", *topics))
    subscriber = messages.encode(system.registration("subscriber", *filters))
    yield
    while True:
        talkers = [system.talker() for _ in range(2)]
        for talker, message in zip(talkers, (publisher, subscriber), strict=True):
            _send(talker, message)
            # Until the reply comes; the end of the attack must not wait for it.
            while not talker.socket.poll(20) and not scene.pause.is_set():
                yield
        for talker in talkers:
            talker.close()
        yield


@_kind()
def long_control_messages(scene: Scene) -> Iterator[None]:
    system = scene.system
    talker = system.talker(sndhwm=4)
    topics = ["x" * 250] * 4000
    nested = b'{"type":"status","id":1,"x":' + b"[" * 2_000_000
    long = json.dumps({"type": "register", "id": 1, "topics": topics * 4}).encode()
    yield
    yield from _flood(scene, talker, itertools.cycle([nested, long[: 4 * 2**20]]))


@_kind()
def idle_connections_at_the_control_port(scene: Scene) -> Iterator[None]:
    yield from _idle(scene, scene.system.port)


@_kind()
def garbage_at_the_control_port(scene: Scene) -> Iterator[None]:
    system = scene.system
    greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + b"CURVE" + b"\0" * 48
    yield
    for number in itertools.count():
        with contextlib.suppress(OSError), socket.socket() as stranger:
            stranger.settimeout(0.2)
            stranger.connect(("127.0.0.1", system.port))
            stranger.sendall((greeting, b"\0\xff" * 40_000)[number % 2])
            stranger.sendall(b"\x04\x64\x05HELLO" + b"x" * 94)
        scene.rest(0.002)
        yield


@_kind()
def publishers_at_invented_addresses(scene: Scene) -> Iterator[None]:
    """Subscribers must connect there; one is at the broker's own port."""
    system = scene.system
    talker = system.talker()
    topic = scene.publishers.clients[0]["topic"]
    yield
    ports = itertools.chain([system.port], itertools.count(1))
    for number, port in enumerate(ports, 1):
        address = f"127.0.{port // 60000 % 250}.1:{1 + port % 60000}"
        request = system.registration("publisher", topic, address=address, id=number)
        _send(talker, messages.encode(request))
        talker.received()
        scene.rest(0.002)
        yield


# At the port of events


def _event_port(scene: Scene) -> tuple[int, str | None]:
    return scene.system.data_port(scene.publishers)


def _publisher_port(scene: Scene) -> tuple[int, str | None]:
    return scene.system.publisher_port(scene.publishers)


def _idle(scene: Scene, port: int) -> Iterator[None]:
    kept: deque[socket.socket] = deque()
    yield
    try:
        while True:
            if len(kept) == _CONNECTIONS:
                kept.popleft().close()
            connection = socket.socket()
            connection.settimeout(1)
            with contextlib.suppress(OSError):
                connection.connect(("127.0.0.1", port))
            kept.append(connection)
            scene.rest(0.002)
            yield
    finally:
        for connection in kept:
            connection.close()


def _subscriptions(
    scene: Scene,
    at: tuple[int, str | None],
    frames: Iterator[bytes],
    admitted: bool = True,
) -> Iterator[None]:
    """Subscribe with ``frames``, and read nothing."""
    wire = scene.system.subscriber_at(*at, admitted=admitted, rcvhwm=1, rcvbuf=4096)
    yield
    yield from _flood(scene, wire, (b"\x01" + frame for frame in frames))


def _long_topics() -> Iterator[bytes]:
    return (b"%08d" % number + b"z" * 240 for number in itertools.count())


@_kind(not_open=True)
def subscriptions_without_end(scene: Scene) -> Iterator[None]:
    yield from _subscriptions(scene, _event_port(scene), _long_topics())


@_kind("centralized")
def subscriptions_at_a_publisher(scene: Scene) -> Iterator[None]:
    # A secure centralized broker admits only this one.
    admitted = not scene.system.secure
    at = _publisher_port(scene)
    yield from _subscriptions(scene, at, _long_topics(), admitted)


@_kind(not_open=True)
def one_subscription_again_and_again(scene: Scene) -> Iterator[None]:
    wire = scene.system.subscriber_at(*_event_port(scene))
    topic = topic_prefix(scene.publishers.clients[0]["topic"])
    yield
    marks = itertools.cycle([b"\x01", b"\0"])
    yield from _flood(scene, wire, (mark + topic for mark in marks))


@_kind()
def asking_whether_it_is_ready(scene: Scene) -> Iterator[None]:
    topic = scene.publishers.clients[0]["topic"]
    frames = (ready_topic(topic, session) for session in itertools.count(1))
    yield from _subscriptions(scene, _event_port(scene), frames)


@_kind()
def history_that_is_not_read(scene: Scene) -> Iterator[None]:
    client = scene.publishers.clients[0]
    questions = (
        RecoveryRequest(client["topic"], client["session"], 1 + n, 0, 1999, n)
        for n in itertools.count()
    )
    frames = map(recovery_topic, questions)
    yield from _subscriptions(scene, _event_port(scene), frames)


@_kind()
def idle_connections_at_the_event_port(scene: Scene) -> Iterator[None]:
    port, _ = _event_port(scene)
    yield from _idle(scene, port)


@_kind()
def large_events_that_are_not_read(scene: Scene) -> Iterator[None]:
    """Mallory's publisher runs the honest program; its memory counts."""
    system = scene.system
    big = system.publishers("big", name="mallory", rate=300, payload=200_000)
    scene.others.append(big)
    if system.centralized:
        port, server = system.data_port(big)
    else:
        keys = system.keys_of("mallory")
        port, server = big.clients[0]["port"], keys.pair.public if keys else None
    reader = system.wire(zmq.SUB, server)
    reader.socket.rcvhwm = 1
    reader.socket.rcvbuf = 4096
    reader.socket.setsockopt(zmq.SUBSCRIBE, topic_prefix("big"))
    reader.connect(port)
    yield
    while True:
        scene.rest(0.05)
        yield


# As a publisher


class Rogue:
    """A registered publisher with hand-written frames."""

    def __init__(self, scene: Scene, *topics: str) -> None:
        system = scene.system
        self.wire = system.wire(zmq.XPUB, None, None)
        self.wire.socket.sndhwm = 1000
        keys = system.keys_of("mallory")
        if keys is not None:
            self.wire.socket.curve_server = True
            self.wire.socket.curve_secretkey = keys.pair.secret.encode()
        self.wire.socket.bind("tcp://127.0.0.1:*")
        self.address = f"127.0.0.1:{bound_port(self.wire.socket)}"
        request = system.registration("publisher", *topics, address=self.address)
        self.control = system.talker()
        self.session = self.control.registered(request).session

    def event(self, topic: str, sequence: int, payload: bytes, **fields: Any) -> bytes:
        address = fields.get("address", self.address)
        session = fields.get("session", self.session)
        return encode_event(topic, address, session, sequence, 1, payload)


@_kind()
def broken_events(scene: Scene) -> Iterator[None]:
    rogue = Rogue(scene, SHARED)
    yield
    frames = (
        frame
        for number in itertools.count()
        for frame in (
            b"shared\0\1\x95" + b"\xdd\xff\xff\xff\xff" * 9,
            b"shared\0\2" + b"\x96" * 3000,
            rogue.event(SHARED, number, b"x", session=1 + number % 2**50),
            rogue.event(SHARED, number, b"x", address="9" * 10_000),
            rogue.event(SHARED, _LARGEST * (number % 2), b"x"),
        )
    )
    for _ in _flood(scene, rogue.wire, frames):
        rogue.wire.received()
        scene.rest(0.0002)
        yield


@_kind()
def gaps_that_are_never_filled(scene: Scene) -> Iterator[None]:
    """The honest subscriber of the shared topic requests the missing events, and holds
    the later ones."""
    rogue = Rogue(scene, SHARED)
    payload = b"x" * 100_000
    yield
    frames = (rogue.event(SHARED, 2 * n, payload) for n in itertools.count())
    for _ in _flood(scene, rogue.wire, frames):
        rogue.wire.received()
        scene.rest(0.002)
        yield

"""The information in a copy of all bytes on the network, with and without keys."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.attack_rows import attack
from support.attack_tools import Vault, publish_and_receive
from support.running_roles import WAIT_S, Receiver, RunningBroker

from pubsub_common.protocol.messages import Model
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

TOPIC, PAYLOAD = "sensors/kitchen", b"nobody is at home"
# The address of the relays; on this host, all of 127.0.0.0/8 leads here.
TAPPED = "127.0.0.9"
GREETING_BYTES = 64


class Tap:
    """Relays from ports of one address to those of another, and keeps the data."""

    def __init__(self) -> None:
        # The data of each side, for each connection.
        self.streams: list[bytearray] = []
        self._stream_of: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def listen(self, host: str, port: int, *, to: tuple[str, int]) -> int:
        """Relay from here on; returns the port."""
        listener = socket.create_server((host, port))
        self._selector.register(listener, selectors.EVENT_READ, to)
        self._wake.send(b"l")  # so that the thread's wait starts again with it
        bound: int = listener.getsockname()[1]
        return bound

    def close(self) -> None:
        self._wake.send(b"q")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._wake.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                source: Any = key.fileobj
                if source is self._woken:
                    if source.recv(1) == b"q":
                        return
                elif isinstance(key.data, tuple):
                    self._accept(source, key.data)
                else:
                    self._pass_on(source, key.data)

    def _accept(self, listener: socket.socket, to: tuple[str, int]) -> None:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(to, WAIT_S)
        except ConnectionRefusedError:  # it has ended, and the client will
            client.close()
            return
        for side in (client, server):
            self._stream_of[side] = bytearray()
            self.streams.append(self._stream_of[side])
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(65536)
            self._stream_of[source] += data
            target.sendall(data)
        except OSError:
            data = b""
        if not data and source in self._selector.get_map():
            self._selector.unregister(source)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_WR)
            source.close()
            if target in self._selector.get_map() and target.fileno() >= 0:
                self._selector.unregister(target)
                target.close()


class TappedPublisher(Publisher):
    """A publisher with a port behind the tap, also for the address in its events."""

    tap: Tap

    def setup_port_binding(self) -> None:
        super().setup_port_binding()
        port = self.tap.listen(TAPPED, 0, to=("127.0.0.1", self.bind_port))
        self._runtime.core.address = f"{TAPPED}:{port}"


@pytest.fixture
def tap() -> Iterator[Tap]:
    tap = Tap()
    yield tap
    tap.close()


def session(
    model: Model, tap: Tap, vault: Vault | None, stack: contextlib.ExitStack
) -> None:
    """A complete session: all connections lead through the tap."""
    broker = RunningBroker(
        model, secure=None if vault is None else vault.folder, linger_s=0.1
    )
    stack.callback(broker.stop)
    ports = [broker.port]
    if model == "centralized":
        ports += broker.broker.update_send_socket()
    for port in ports:
        tap.listen(TAPPED, port, to=("127.0.0.1", port))

    def options(name: str) -> dict[str, Any]:
        return {
            "broker_address": TAPPED,
            "broker_port": broker.port,
            "address": "127.0.0.1",
            "topics": [TOPIC],
            "connect_timeout_s": WAIT_S,
            "keys": None if vault is None else vault.path(name),
        }

    subscriber = stack.enter_context(
        Subscriber(
            indefinite=True,
            centralized=model == "centralized",
            recover=True,
            **options("bob"),
        )
    )
    hearer = Receiver(subscriber)
    stack.callback(hearer.stop)
    publisher = TappedPublisher(
        bind_port=0, history=10, linger_s=0.1, **options("alice")
    )
    publisher.tap = tap
    stack.enter_context(publisher)
    publish_and_receive(publisher, TOPIC, hearer, PAYLOAD, b"another one")
    publisher.publish_events([PAYLOAD] * 10)
    hearer.wait_for_events(12)


# Words in events and control messages; the last one begins the address of a publisher,
# which is in all events.
WORDS = (b"sensors", b"register", b"session", f"{TAPPED}:".encode())


@attack(
    what="copying all bytes on the network",
    got="lengths and times",
)
def test_nothing_of_a_secure_session_can_be_read_on_the_way(
    model: Model, tap: Tap, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "secure")
    with contextlib.ExitStack() as stack:
        session(model, tap, vault, stack)

    # Of the lasting connections: two to the control port, and one for events.
    full = [bytes(stream) for stream in tap.streams if len(stream) >= GREETING_BYTES]
    assert len(full) >= 6
    assert sum(map(len, full)) > 3000
    assert [stream.count(b"CURVE") for stream in full] == [1] * len(full)
    # Long enough not to occur by chance in this many random bytes.
    words = [PAYLOAD, TOPIC.encode(), *WORDS]
    names = [name.encode() for name in ("alice", "mallory")]
    secrets = [vault.keys(name).pair for name in ("alice", "bob")]
    keys = [each.encode() for pair in secrets for each in (pair.public, pair.secret)]
    for word in [*words, *names, *keys]:
        assert not any(word in stream for stream in tap.streams), word


def test_an_insecure_session_can_be_read_so_the_test_above_can_fail(
    model: Model, tap: Tap
) -> None:
    with contextlib.ExitStack() as stack:
        session(model, tap, None, stack)

    assert not any(b"CURVE" in stream for stream in tap.streams)
    for word in (PAYLOAD, TOPIC.encode(), *WORDS):
        assert any(word in stream for stream in tap.streams), word

"""The reason why a connection fails, where libzmq itself learns too little."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from support.ipv6 import needs_ipv6

from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.control_client import ControlClient
from pubsub_common.client.identity import Identity
from pubsub_common.errors import BrokerUnreachable, HandshakeFailed
from pubsub_common.net.sockets import bind
from pubsub_common.security import greeting_probe
from pubsub_common.security.greeting_probe import Listener
from pubsub_common.security.handshake_failure import (
    FailureReason,
    HandshakeFailure,
    probe_reason,
)
from pubsub_common.security.keys import ClientKeys, configure_curve_server, new_key_pair

WAIT_S = 60.0
IDENTITY = Identity("subscriber", ("A",), "127.0.0.1", "realtime", "decentralized")
DISCONNECTED = HandshakeFailure(FailureReason.DISCONNECTED, retrying=True)


def greeting_of(mechanism: bytes, version: int = 3) -> bytes:
    signature = b"\xff" + bytes(8) + b"\x7f"
    return signature + bytes([version, 1]) + mechanism.ljust(20, b"\0") + bytes(32)


class HangsUp:
    """Disconnects a libzmq before it has sent its mechanism, as a libzmq does to which
    a greeting comes at once. libzmq begins with a signature of 10 bytes alone."""

    def __init__(self, mechanism: bytes) -> None:
        self._greeting = greeting_of(mechanism)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._listening.accept()[0] as connection:
                    connection.settimeout(WAIT_S)
                    if len(connection.recv(64)) > 10:
                        connection.sendall(self._greeting)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(WAIT_S)


@pytest.fixture
def hangs_up() -> Iterator[Callable[[bytes], HangsUp]]:
    started: list[HangsUp] = []

    def start(mechanism: bytes) -> HangsUp:
        started.append(HangsUp(mechanism))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (greeting_of(b"CURVE"), True),
        (greeting_of(b"NULL"), False),
        (greeting_of(b"PLAIN"), None),
        (greeting_of(b"CURVE", version=1), None),
        (greeting_of(b"CURVE")[:40], None),
        (b"HTTP/1.0 400 Bad Request".ljust(64), None),
        (b"", None),
    ],
)
def test_a_greeting_tells_whether_keys_are_wanted(
    said: bytes, wanted: bool | None
) -> None:
    assert greeting_probe.requires_keys(said) is wanted


@pytest.mark.parametrize("secure", [True, False])
def test_libzmq_sends_its_mechanism_to_a_peer_that_waits_for_it(
    context: zmq.Context[zmq.Socket[bytes]], secure: bool
) -> None:
    router = context.socket(zmq.ROUTER)
    if secure:
        configure_curve_server(router, new_key_pair())
    router.bind("tcp://127.0.0.1:*")
    where = router.getsockopt_string(zmq.LAST_ENDPOINT).removeprefix("tcp://")

    assert greeting_probe.probe(where, WAIT_S) is secure


def test_who_does_not_answer_tells_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert (
            greeting_probe.probe(f"127.0.0.1:{silent.getsockname()[1]}", 0.01) is None
        )
    with socket.create_server(("127.0.0.1", 0)) as gone:
        where = f"127.0.0.1:{gone.getsockname()[1]}"
    assert greeting_probe.probe(where) is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", Listener.OTHER),
        (greeting_of(b"CURVE"), Listener.WITH_KEYS),
        (greeting_of(b"NULL"), Listener.WITHOUT_KEYS),
        (greeting_of(b"PLAIN"), Listener.OTHER),
        (greeting_of(b"NULL")[:10], Listener.SILENT),
        (b"", Listener.SILENT),
    ],
)
def test_what_listens_is_told_by_what_it_sends(said: bytes, found: Listener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"127.0.0.1:{listening.getsockname()[1]}"

        def serve() -> None:
            with listening.accept()[0] as connection:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(64)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        assert greeting_probe.look(where, WAIT_S) is found
        thread.join(WAIT_S)
    assert greeting_probe.look(where, WAIT_S) is Listener.REFUSED


def test_a_listener_that_never_sends_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        where = f"127.0.0.1:{listening.getsockname()[1]}"
        assert greeting_probe.look(where, 0.01) is Listener.SILENT


@pytest.mark.parametrize("listener", Listener)
def test_what_listens_is_explained_on_one_line(listener: Listener) -> None:
    text = greeting_probe.explain(listener)

    assert text
    assert "\n" not in text


def test_a_broker_that_had_no_time_to_answer_is_not_called_another_program() -> None:
    text = greeting_probe.explain(Listener.WITHOUT_KEYS, 0.0)

    assert "had only 0 s to answer" in text
    assert "not a broker" not in text
    assert "not a broker" in greeting_probe.explain(Listener.WITHOUT_KEYS, 1.0)
    assert "refused" in greeting_probe.explain(Listener.REFUSED, 0.0)


@pytest.mark.parametrize(
    ("mechanism", "with_keys", "why"),
    [
        (b"CURVE", False, FailureReason.SECURITY_MISMATCH),
        (b"NULL", True, FailureReason.SECURITY_MISMATCH),
        (b"CURVE", True, FailureReason.WRONG_SERVER_KEY),
        (b"NULL", False, FailureReason.DISCONNECTED),
        (b"?", True, FailureReason.DISCONNECTED),
    ],
)
def test_why_somebody_hangs_up_is_asked(
    hangs_up: Callable[[bytes], HangsUp],
    mechanism: bytes,
    with_keys: bool,
    why: FailureReason,
) -> None:
    where = hangs_up(mechanism).where

    assert probe_reason(DISCONNECTED, where, with_keys=with_keys).reason is why

    rejected = HandshakeFailure(FailureReason.KEY_REJECTED, retrying=False)
    assert probe_reason(rejected, where, with_keys=with_keys) == rejected


@pytest.mark.parametrize(
    ("mechanism", "with_keys", "said"),
    [(b"CURVE", False, "requires keys: "), (b"NULL", True, "is not secure, and ")],
)
def test_a_client_gives_the_reason_and_no_guess_before_it(
    hangs_up: Callable[[bytes], HangsUp],
    context: zmq.Context[zmq.Socket[bytes]],
    caplog: pytest.LogCaptureFixture,
    mechanism: bytes,
    with_keys: bool,
    said: str,
) -> None:
    where = hangs_up(mechanism).where
    keys = ClientKeys("bob", new_key_pair(), new_key_pair().public, "bob.keys")
    client = ControlClient(
        context,
        BrokerPlaces.of(where),
        IDENTITY,
        lambda _: None,
        keys=keys if with_keys else None,
    )

    with caplog.at_level(logging.WARNING):
        client.start()
        try:
            with pytest.raises(HandshakeFailed, match=f"the broker at {where} {said}"):
                client.wait_registered(WAIT_S)
        finally:
            client.close({})

    assert [line for line in caplog.messages if "no broker at" not in line] == []


def test_a_client_of_another_broker_gives_the_reason_once(
    hangs_up: Callable[[bytes], HangsUp],
    context: zmq.Context[zmq.Socket[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    where = hangs_up(b"CURVE").where
    keys = ClientKeys("bob", new_key_pair(), new_key_pair().public, "bob.keys")
    client = ControlClient(
        context, BrokerPlaces.of(where), IDENTITY, lambda _: None, keys=keys
    )
    reason = (
        f"the broker at {where} has another key than the one in bob.keys: that file is "
        "for another broker"
    )

    def wait() -> HandshakeFailed:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                client.wait_registered(0.25)
            except BrokerUnreachable:
                continue  # has not found it out yet
            except HandshakeFailed as error:
                return error
        raise AssertionError("no reason was given")

    with caplog.at_level(logging.WARNING):
        client.start()
        try:
            error = wait()
        finally:
            client.close({})

    assert str(error) == f"gave up on the broker at {where} after 0.25 s"
    assert error.reason == reason
    assert caplog.messages == [f"{reason}; still trying"]


@needs_ipv6
@pytest.mark.parametrize("secure", [True, False])
def test_a_listener_by_ipv6_is_asked_too(secure: bool) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        if secure:
            configure_curve_server(router, new_key_pair())
        port = bind(router, "tcp://[::1]:*")

        assert greeting_probe.probe(f"[::1]:{port}", WAIT_S) is secure

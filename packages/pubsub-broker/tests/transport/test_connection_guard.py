"""The limits at a broker's control port, with real connections."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.broker_parts import parts_of

from pubsub_broker import Broker
from pubsub_broker.security.key_store import KeyStore
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Error,
    Register,
    Registered,
    Status,
    StatusRequest,
)
from pubsub_common.protocol.versions import VERSIONS

HOST = "127.0.0.1"
BAD = "127.0.0.2"
# ZMTP 3.0: signature, version, mechanism NULL, as-server 0, filler.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
WAIT_S = 60.0


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Broker]:
    with Broker(indefinite=True, port=0, **options) as broker:
        thread = threading.Thread(target=broker.event_loop)
        thread.start()
        try:
            yield broker
        finally:
            broker.stop()
            thread.join(WAIT_S)


class Peer:
    """A connection from an address of this machine."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        broker: Broker,
        source: str = HOST,
    ) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = self.socket.sndtimeo = round(WAIT_S * 1000)
        self.socket.connect(f"tcp://{source}:0;{broker.address}:{broker.port}")

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def ask(self, request: messages.Request) -> messages.Reply:
        self.send(messages.encode(request))
        return messages.decode_reply(self.socket.recv())

    def register(self, number: int = 1) -> messages.Reply:
        return self.ask(registration(number))

    def status(self) -> Status:
        reply = self.ask(StatusRequest(id=1))
        assert isinstance(reply, Status)
        return reply


def registration(number: int = 1) -> Register:
    return Register(
        id=number,
        versions=VERSIONS,
        role="subscriber",
        topics=["A"],
        address="127.0.0.9",
        clock="realtime",
    )


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def connect(broker: Broker, source: str) -> socket.socket:
    return socket.create_connection(
        (broker.address, broker.port), WAIT_S, source_address=(source, 0)
    )


def ended(connection: socket.socket) -> bool:
    """Wait until the other side has closed; False if it does not."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_one_address_gets_so_many_clients_and_others_have_room(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with running(max_clients_per_address=2) as broker:
        bad = [Peer(context, broker, BAD).register() for _ in range(3)]
        assert [type(reply) for reply in bad[:2]] == [Registered, Registered]
        assert isinstance(bad[2], Error)
        assert bad[2].code == messages.TOO_MANY
        assert f"from {BAD}" in bad[2].detail
        assert "--max-clients-per-address" in bad[2].detail

        assert isinstance(Peer(context, broker).register(), Registered)


def test_registrations_beyond_the_limit_are_postponed_and_named_in_the_log(
    context: zmq.Context[zmq.Socket[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with running(max_registrations_per_second=0.1) as broker:
        bad = Peer(context, broker, BAD)
        replies = [bad.register(number) for number in range(12)]

        assert [isinstance(reply, Registered) for reply in replies] == [True] * 10 + [
            False
        ] * 2
        last = replies[-1]
        assert isinstance(last, Error)
        assert (last.id, last.code) == (11, messages.TOO_FAST)
        good = Peer(context, broker)
        assert isinstance(good.register(), Registered)
        assert good.status().rejected == 2
        until(lambda: bool(caplog.records), "the line in the log")
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"rate limit exceeded by {BAD}: rejected ")


def test_a_flooding_connection_is_closed_and_others_are_served(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with running(max_registrations_per_second=0.1) as broker:
        bad = Peer(context, broker, BAD)
        watch = bad.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        with contextlib.closing(watch):
            data = messages.encode(registration())
            for _ in range(200):
                bad.send(data)
            assert watch.poll(round(WAIT_S * 1000)), "its connection should be closed"
            bad.socket.disable_monitor()

        good = Peer(context, broker)
        assert isinstance(good.register(), Registered)
        # ZeroMQ reconnects by itself: the address is not blocked permanently.
        assert isinstance(Peer(context, broker, BAD).status(), Status)


def test_connections_that_say_nothing_are_limited_per_address() -> None:
    # 10 + 2 + 100 open connections.
    with running(max_clients_per_address=10) as broker, contextlib.ExitStack() as stack:
        bad = [stack.enter_context(connect(broker, BAD)) for _ in range(120)]

        for connection in bad[112:]:
            assert ended(connection)
        with connect(broker, HOST) as good:
            assert good.recv(10)[:1] == b"\xff"  # the greeting
        for connection in bad[:112]:
            connection.close()
        until(lambda: not parts_of(broker).connection_guard._addresses, "their end")
        with connect(broker, BAD) as again:
            assert again.recv(10)[:1] == b"\xff"


def test_nonsense_is_answered_for_a_while(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with running() as broker:
        bad = Peer(context, broker, BAD)
        for _ in range(1000):
            bad.send(b"nonsense")
        answers = [messages.decode_reply(bad.socket.recv()) for _ in range(1000)]
        assert {type(answer) for answer in answers} == {Error}
        for _ in range(100):
            bad.send(b"nonsense")

        good = Peer(context, broker)
        until(lambda: good.status().rejected >= 1000, "all that is answered")
        assert good.status().rejected < 1100


@pytest.mark.parametrize("port_of", ["control", "events"])
def test_a_connection_that_does_not_use_the_protocol_is_logged_at_each_port(
    port_of: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running(centralized=True) as broker:
        port = (
            broker.port
            if port_of == "control"
            else parts_of(broker).forwarder_pool.ports[0]
        )
        for _ in range(10):
            with socket.create_connection((HOST, port), WAIT_S) as stranger:
                stranger.sendall(GREETING + b"\x04\x08nonsense")
                with contextlib.suppress(ConnectionError):
                    while stranger.recv(1000):
                        pass
        until(lambda: "it does not use this protocol" in caplog.text, "a line")

    # One line per address; some addresses could not be found any more.
    assert len(caplog.messages) == len(set(caplog.messages)) <= 2


def test_a_descriptor_that_the_kernel_has_reused_is_not_closed(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with running() as broker, connect(broker, HOST) as mine:
        assert mine.recv(10)
        until(
            lambda: HOST in parts_of(broker).connection_guard._addresses.values(),
            "the connection",
        )
        [fd] = [
            fd
            for fd, address in parts_of(broker).connection_guard._addresses.items()
            if address == HOST
        ]
        parts_of(broker).connection_guard._disconnect(fd, BAD)  # another address
        parts_of(broker).connection_guard._disconnect(
            mine.fileno(), HOST
        )  # not a connection of the port
        parts_of(broker).connection_guard._disconnect(1 << 20, HOST)  # not open
        with Path("/dev/null").open() as file:
            parts_of(broker).connection_guard._disconnect(file.fileno(), HOST)
        mine.settimeout(0.05)
        assert not ended(mine)

        mine.settimeout(WAIT_S)
        parts_of(broker).connection_guard._disconnect(fd, HOST)
        assert ended(mine)


def test_events_do_not_wait_for_what_comes_in_at_the_control_port() -> None:
    with Broker(centralized=True, indefinite=True, port=0, forwarders=2) as broker:
        events = [
            it.getsockopt(zmq.AFFINITY)
            for pair in parts_of(broker).forwarder_pool.socket_sets
            for it in (*pair.inputs(), pair.xpub)
        ]
        control = parts_of(broker).control_socket.socket.getsockopt(zmq.AFFINITY)

    # Each of libzmq's threads has a bit.
    assert set(events) == {0b10}
    assert control == 0b01


def test_a_connection_closed_before_its_key_was_sent_is_logged_by_a_secure_broker(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A client without keys that detects first that keys are required does this, too."""
    KeyStore(tmp_path / "keys").create()
    caplog.set_level(logging.WARNING)
    with running(secure=str(tmp_path / "keys")) as broker:
        connect(broker, BAD).close()

        until(lambda: bool(caplog.records), "the line in the log")
    [line] = caplog.messages  # the connection may close before its address is known
    assert line.endswith(
        ": closed before sending a CURVE key (client without keys, or a port scan)"
    )


def test_a_port_scan_of_a_broker_without_keys_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with running() as broker:
        connect(broker, BAD).close()
        connection = connect(broker, BAD)
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0")
        connection.sendall(greeting.ljust(64, b"\0"))

        until(lambda: bool(caplog.records), "the line about the second")
        connection.close()
    [line] = caplog.messages
    assert line.endswith(
        ": rejected: it uses keys, but this broker is not secure (--secure)"
    )

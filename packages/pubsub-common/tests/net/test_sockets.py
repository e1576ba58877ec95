"""Wakers, guarded data sockets, ports; and what we rely on in libzmq."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import cast

import pytest
import zmq

from pubsub_common.net import sockets
from pubsub_common.net.sockets import (
    DataSocket,
    Waker,
    bind_first_free,
    endpoint,
    has_input,
    new_context,
    tcp_table,
    terminate_context,
    wait_until_sent,
)
from pubsub_common.net.tcp_table import unsent_bytes
from pubsub_common.protocol.events import ready_topic, topic_prefix

WAIT_MS = 30_000


def readable(fd: int, timeout_ms: int = 0) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_ms))


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


def test_a_wake_makes_the_descriptor_readable_until_cleared(waker: Waker) -> None:
    assert not readable(waker.fd)
    waker.wake()
    assert readable(waker.fd)
    waker.clear()
    assert not readable(waker.fd)


def test_many_wakes_do_not_block_and_are_cleared_at_once(waker: Waker) -> None:
    for _ in range(100_000):
        waker.wake()

    waker.clear()

    assert not readable(waker.fd)


def test_clearing_without_a_wake_does_nothing(waker: Waker) -> None:
    waker.clear()

    assert not readable(waker.fd)


def test_another_thread_can_wake(waker: Waker) -> None:
    thread = threading.Thread(target=waker.wake)
    thread.start()

    assert readable(waker.fd, WAIT_MS)
    thread.join()


def test_a_signal_handler_may_wake_while_its_own_thread_is_waking(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    calls: list[int] = []

    def interrupted(fd: int, data: bytes) -> int:
        calls.append(fd)
        if len(calls) == 1:
            waker.wake()  # as a handler would, between two instructions
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    waker.wake()

    assert len(calls) == 2


def test_a_wake_after_closing_does_nothing() -> None:
    waker = Waker()
    waker.close()

    waker.wake()
    waker.close()


def test_closing_gives_the_descriptors_back() -> None:
    waker = Waker()
    fd = waker.fd
    waker.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_descriptor_stays_open_while_another_thread_is_waking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waker = Waker()
    closer = threading.Thread(target=waker.close)
    write = os.write

    def slow_write(fd: int, data: bytes) -> int:
        closer.start()
        closer.join(0.05)  # it must wait for us; without a lock it would be done
        os.fstat(fd)
        return write(fd, data)

    monkeypatch.setattr(os, "write", slow_write)
    waker.wake()

    closer.join()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(waker.fd)


def test_an_endpoint_is_written_as_zeromq_wants_it() -> None:
    assert endpoint("10.0.0.1", 5555) == "tcp://10.0.0.1:5555"
    assert endpoint("10.0.0.1", "*") == "tcp://10.0.0.1:*"


def test_each_context_is_its_own() -> None:
    first, second = new_context(), new_context()
    first.term()

    assert not second.closed
    second.term()


def test_ending_a_context_lets_out_what_its_sockets_have_to_send(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    receiver = context.socket(zmq.PULL)
    receiver.rcvtimeo = WAIT_MS
    port = receiver.bind_to_random_port("tcp://127.0.0.1")
    ours = new_context()
    with ours.socket(zmq.PUSH) as sender:
        sender.connect(f"tcp://127.0.0.1:{port}")
        for _ in range(500):
            sender.send(b"event")
        sender.linger = WAIT_MS

    assert terminate_context(ours, WAIT_MS / 1000)

    assert ours.closed
    assert [receiver.recv() for _ in range(500)] == [b"event"] * 500


def test_a_context_that_never_ends_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "_TERM_S", 0.0)
    released = threading.Event()

    class Stuck:
        def term(self) -> None:
            released.wait()

    assert not terminate_context(cast("zmq.Context[zmq.Socket[bytes]]", Stuck()))
    released.set()


def test_the_first_port_is_taken_when_it_is_free(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    socket = context.socket(zmq.XPUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    socket.unbind(f"tcp://127.0.0.1:{port}")
    other = context.socket(zmq.XPUB)

    found = bind_first_free(other, "127.0.0.1", port)

    assert found is not None
    assert other.getsockopt_string(zmq.LAST_ENDPOINT) == f"tcp://127.0.0.1:{found}"
    assert found >= port


def test_ports_in_use_are_skipped(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    taken = context.socket(zmq.XPUB)
    port = taken.bind_to_random_port(
        "tcp://127.0.0.1", min_port=20_000, max_port=30_000
    )

    found = bind_first_free(context.socket(zmq.XPUB), "127.0.0.1", port)

    assert found is not None
    assert found > port


def test_without_a_free_port_there_is_none(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    bind_first_free(context.socket(zmq.XPUB), "127.0.0.1", 65535)  # if it was free

    assert bind_first_free(context.socket(zmq.XPUB), "127.0.0.1", 65535) is None


def test_a_host_that_is_not_ours_is_an_error(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    with pytest.raises(zmq.ZMQError):
        bind_first_free(context.socket(zmq.XPUB), "192.0.2.1", 20_000)


def test_a_data_socket_receives_without_waiting(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    sender = context.socket(zmq.PAIR)
    sender.bind("inproc://data")
    data = DataSocket(context, zmq.PAIR, queue_limit=10)
    data.socket.connect("inproc://data")

    with data.lock:
        assert data.receive() is None
        assert not data.readable()
        sender.send(b"event")
        assert data.socket.poll(WAIT_MS)
        assert data.readable()
        assert has_input(data.socket)
        assert data.receive() == b"event"
        assert data.receive() is None
    data.close(0)


def test_the_descriptor_of_a_data_socket_tells_of_messages(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    sender = context.socket(zmq.PAIR)
    sender.bind("inproc://data")
    data = DataSocket(context, zmq.PAIR, queue_limit=10)
    data.socket.connect("inproc://data")
    while data.receive() is not None or data.readable():
        pass  # what connecting itself has to say

    sender.send(b"event")

    assert readable(data.fd, WAIT_MS)
    assert data.receive() == b"event"
    data.close(0)


def test_the_queue_of_a_data_socket_is_limited(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    publisher = DataSocket(context, zmq.XPUB, queue_limit=7)
    subscriber = DataSocket(context, zmq.SUB, queue_limit=8)

    assert publisher.socket.sndhwm == 7
    assert subscriber.socket.rcvhwm == 8


def test_a_data_socket_can_be_closed_twice(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    data = DataSocket(context, zmq.SUB, queue_limit=10)

    data.close(0)
    data.close(0)

    assert data.socket.closed


@pytest.mark.parametrize("kind", [zmq.SUB, zmq.XSUB])
def test_a_new_peer_learns_of_ready_topics_after_all_other_topics(
    context: zmq.Context[zmq.Socket[bytes]], kind: int
) -> None:
    """The ready handshake stands on this (see pubsub_common.protocol.events)."""
    topics = [topic_prefix(name) for name in ("B", "A", "AB", "é", "🙂", "zz", "a")]
    ready = [ready_topic("A", 1), ready_topic("é", 2)]
    subscriber = context.socket(kind)
    for topic in (ready[1], *topics, ready[0]):
        if kind == zmq.SUB:
            subscriber.subscribe(topic)
        else:
            subscriber.send(b"\1" + topic)
    publisher = context.socket(zmq.XPUB)
    publisher.rcvtimeo = WAIT_MS
    port = publisher.bind_to_random_port("tcp://127.0.0.1")

    subscriber.connect(f"tcp://127.0.0.1:{port}")

    seen = [publisher.recv() for _ in range(len(topics) + len(ready))]
    assert seen == [b"\1" + topic for topic in sorted([*topics, *ready])]
    assert set(seen[-2:]) == {b"\1" + topic for topic in ready}


def test_waiting_until_all_is_sent_ends_when_the_other_side_has_it_or_time_is_up() -> (
    None
):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as there:
            here, _ = listener.accept()
            with here:
                here.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        here.send(bytes(65_536))
                wait_until_sent(port, 0.05)  # nobody reads
                reader = threading.Thread(target=read_all, args=(there,))
                reader.start()
                wait_until_sent(port, 30.0)

                assert unsent_bytes(port, tcp_table() or "") == 0
        reader.join(30.0)


def read_all(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass

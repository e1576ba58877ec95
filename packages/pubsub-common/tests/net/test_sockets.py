"""Wakers, guarded data sockets, ports; and what we rely on in libzmq."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

import pytest
import zmq

from pubsub_common.net.sockets import (
    DataSocket,
    bind_first_free,
    endpoint,
    has_input,
    tcp_table,
    wait_until_sent,
)
from pubsub_common.net.tcp_table import unsent_bytes
from pubsub_common.protocol.events import ready_topic, topic_prefix
from pubsub_common.queue_bounds import QueueBounds

WAIT_MS = 30_000


def readable(fd: int, timeout_ms: int = 0) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_ms))


def test_an_endpoint_is_written_as_zeromq_wants_it() -> None:
    assert endpoint("10.0.0.1", 5555) == "tcp://10.0.0.1:5555"
    assert endpoint("10.0.0.1", "*") == "tcp://10.0.0.1:*"


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
    data = DataSocket(context, zmq.PAIR, QueueBounds(10))
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
    data = DataSocket(context, zmq.PAIR, QueueBounds(10))
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
    publisher = DataSocket(context, zmq.XPUB, QueueBounds(7))
    subscriber = DataSocket(context, zmq.SUB, QueueBounds(8))

    assert publisher.socket.sndhwm == 7
    assert subscriber.socket.rcvhwm == 8


def test_a_data_socket_can_be_closed_twice(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    data = DataSocket(context, zmq.SUB, QueueBounds(10))

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

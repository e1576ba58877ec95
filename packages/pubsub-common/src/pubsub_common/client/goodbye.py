"""Disconnects a client from the broker, and waits a moment for the reply."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from typing import Final

from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.client.session import ClientSession
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.messages import Disconnected, Reply

# How long to wait for the broker's reply to a disconnection.
DISCONNECT_REPLY_S: Final = 1.0


def say_goodbye(
    session: ClientSession,
    socket: ControlSocket,
    next_sequences: Mapping[str, int],
    poller: select.poll,
    waker: Waker,
) -> None:
    """Disconnect from the broker. ``poller`` waits for ``socket`` and ``waker``."""
    # The broker would keep a client that it is registering now for a lease.
    if session.registering and socket.connected():
        for reply in _replies(socket, poller, waker):
            session.receive(reply, time.monotonic())
            if not session.registering:
                break
    request = session.leave(next_sequences)
    if request is None or not socket.send(request):
        return
    for reply in _replies(socket, poller, waker):
        if isinstance(reply, Disconnected) and reply.id == request.id:
            return


def _replies(
    socket: ControlSocket, poller: select.poll, waker: Waker
) -> Iterator[Reply]:
    """The broker's messages for a short time."""
    deadline = time.monotonic() + DISCONNECT_REPLY_S
    while (left_s := deadline - time.monotonic()) > 0:
        received = socket.receive()
        if received is None:
            poller.poll(left_s * 1000 + 0.5)
            waker.clear()
        elif received.reply is not None:
            yield received.reply

"""The end of a client's connection to the broker: it says that it leaves, and waits a moment for
the answer."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from typing import Final

from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.client.session import ClientSession
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.messages import Disconnected, Reply

# How long the broker may take to answer when this client disconnects.
DISCONNECT_REPLY_S: Final = 1.0


def say_goodbye(
    session: ClientSession,
    socket: ControlSocket,
    next_sequences: Mapping[str, int],
    poller: select.poll,
    waker: Waker,
) -> None:
    """Disconnect from the broker. ``poller`` waits for ``socket`` and ``waker``."""
    # A client that the broker is registering at this moment would be kept for a lease.
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
    """What the broker sends meanwhile, but not for long."""
    deadline = time.monotonic() + DISCONNECT_REPLY_S
    while (left_s := deadline - time.monotonic()) > 0:
        received = socket.receive()
        if received is None:
            poller.poll(left_s * 1000 + 0.5)
            waker.clear()
        elif received.reply is not None:
            yield received.reply

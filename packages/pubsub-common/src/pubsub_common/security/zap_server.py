"""Answers libzmq's authentication requests (ZAP): which keys may connect.

libzmq asks over its own protocol, ZAP (https://rfc.zeromq.org/spec/27/), at a fixed
address in the socket's context. The user id in the answer is attached to every message
of the connection; here it is the peer's public key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

import zmq
from zmq.utils import z85

from pubsub_common.protocol.endpoints import written

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_KEY_BYTES: Final = 32

# A public key in Z85 and its host; returns whether it is admitted.
Allows = Callable[[str, str], bool]


def zap_reply(request: Sequence[bytes], allows: Allows) -> list[bytes]:
    """The answer to a request of libzmq. Everything except CURVE with a known key is
    rejected."""
    number = request[1] if len(request) > 1 else b""
    no = [_VERSION, number, b"400", b"rejected", b"", b""]
    if len(request) != 7 or request[0] != _VERSION or request[5] != b"CURVE":
        return no
    address, key = written(request[3].decode("latin-1")), request[6]
    if len(key) != _KEY_BYTES:
        return no
    public = z85.encode(key)
    if not allows(public.decode(), address):
        return no
    return [_VERSION, number, b"200", b"", public, b""]


class ZapServer:
    """Answers for all sockets of a context, in a thread that ends with the context.

    Create it before a socket that acts as a server is bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], allows: Allows) -> None:
        """The thread calls ``allows``, which must not raise."""
        self._allows = allows
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        try:
            self._socket.bind(_ENDPOINT)
            thread = threading.Thread(target=self._run, name="zap", daemon=True)
            thread.start()
        except BaseException:
            self._socket.close(linger=0)  # otherwise the context never ends
            raise

    def _run(self) -> None:
        try:
            while True:
                request = self._socket.recv_multipart()
                self._socket.send_multipart(zap_reply(request, self._allows))
        except zmq.ContextTerminated:
            self._socket.close(linger=0)

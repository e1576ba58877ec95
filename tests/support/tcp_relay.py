"""A relay of TCP connections that can be cut: the link between two programs of a test.

As a program it is a router that forwards ports, until it is ended:
``python tcp_relay.py 192.0.2.1:7000 10.0.0.3:5556 ...``
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

from pubsub_common.net.waker import Waker

_BLOCK_BYTES: Final = 64 * 1024


class TcpRelay:
    """Listens at ``port`` of ``host``, and connects each connection with another one to
    ``target``.

    A cut link is not signaled: each end sees silence, and data that was sent meanwhile
    arrives when the link is healed.
    """

    def __init__(
        self, target: tuple[str, int], host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._target = target
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._waker = Waker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._waker.fd, selectors.EVENT_READ)
        self._other: dict[socket.socket, socket.socket] = {}
        self._answering: set[socket.socket] = set()
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._asks = self._answers = True  # whether each direction passes
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Block both directions from now on."""
        self._do(lambda: self._let(asks=False, answers=False))

    def hold_answers(self) -> None:
        """Pass requests, and block answers."""
        self._do(lambda: self._let(asks=True, answers=False))

    def heal(self) -> None:
        """Pass everything again."""
        self._do(lambda: self._let(asks=True, answers=True))

    def reset(self) -> None:
        """Close all connections."""
        self._do(self._end_all)

    def close(self) -> None:
        """Close all connections, and end the thread."""
        self._do(self._stop)
        self._thread.join()

    def _do(self, order: Callable[[], None]) -> None:
        """Let the thread do this, and wait until it has."""
        done = threading.Event()

        def do() -> None:
            order()
            done.set()

        self._orders.put(do)
        self._waker.wake()
        done.wait()

    # In the thread

    def _run(self) -> None:
        while self._running:
            ready = [key.fileobj for key, _ in self._selector.select()]
            for one in ready:
                if one is self._listener:
                    self._accept()
                elif isinstance(one, socket.socket) and one in self._other:
                    self._pass_on(one)
            # After data that arrived before.
            self._waker.clear()
            while not self._orders.empty():
                self._orders.get()()
        self._selector.close()
        self._waker.close()

    def _stop(self) -> None:
        self._end_all()
        self._listener.close()
        self._running = False

    def _let(self, *, asks: bool, answers: bool) -> None:
        self._asks, self._answers = asks, answers
        for one in (self._listener, *self._other):
            self._watch(one)

    def _watch(self, one: socket.socket) -> None:
        """Read from a side if its direction passes."""
        wanted = self._answers if one in self._answering else self._asks
        if wanted != (one in self._selector.get_map()):
            if wanted:
                self._selector.register(one, selectors.EVENT_READ)
            else:
                self._selector.unregister(one)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(self._target)
        except OSError:
            near.close()
            return
        self._other |= {near: far, far: near}
        self._answering.add(far)
        self._watch(near)
        self._watch(far)

    def _pass_on(self, one: socket.socket) -> None:
        try:
            data = one.recv(_BLOCK_BYTES)
            self._other[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        for each in (one, self._other[one]):
            del self._other[each]
            self._answering.discard(each)
            if each in self._selector.get_map():
                self._selector.unregister(each)
            each.close()

    def _end_all(self) -> None:
        while self._other:
            self._end(next(iter(self._other)))


@contextlib.contextmanager
def tcp_relay(target: tuple[str, int]) -> Iterator[TcpRelay]:
    """A relay to this target; closed with the block."""
    with contextlib.closing(TcpRelay(target)) as relay:
        yield relay


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    places = [_place(word) for word in sys.argv[1:]]
    relays = [
        TcpRelay(target, *listen)
        for listen, target in zip(places[::2], places[1::2], strict=True)
    ]
    print("ready", flush=True)
    threading.Event().wait()

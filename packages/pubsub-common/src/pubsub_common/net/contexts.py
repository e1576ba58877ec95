"""ZeroMQ contexts, and their end, which may never come."""

from __future__ import annotations

import logging
import signal
from typing import Final

import zmq

from pubsub_common.net.changed import Changed
from pubsub_common.net.detached import start_detached

_log = logging.getLogger(__name__)

# To end a context takes libzmq less than a millisecond, unless it never does.
_TERM_S: Final = 3.0
# See `new_context`.
_FREED_BYTES: Final = 8 * 2**20

# Those that were not terminated yet. pyzmq terminates a context that is dropped, in
# whatever thread the garbage collector runs, and waits there for its sockets. So none is
# ever dropped.
_contexts: Final[dict[int, zmq.Context[zmq.Socket[bytes]]]] = {}


def new_context(sockets: int | None = None) -> zmq.Context[zmq.Socket[bytes]]:
    """A ZeroMQ context of our own, so that ending one role never ends another. It has room
    for so many ``sockets``, or for 1023. It is there until `terminate_context`.

    From here on glibc keeps up to 16 MiB that are freed at the end of a heap, not 128 KiB.
    Otherwise each large message is in pages that the kernel took back after the last one,
    and has to clear again. The limit is twice the largest block that was mapped and freed
    so far (mallopt(3), M_TRIM_THRESHOLD). Nothing is ever written to this one.
    """
    bytes(_FREED_BYTES)
    context = zmq.Context()
    _contexts[id(context)] = context
    if sockets is not None:
        context.set(zmq.MAX_SOCKETS, min(sockets, int(context.get(zmq.SOCKET_LIMIT))))
    return context


def terminate_context(
    context: zmq.Context[zmq.Socket[bytes]], lingering_s: float = 0.0
) -> bool:
    """Terminate ``context``, waiting for what its sockets, which are closed, have to send
    for at most ``lingering_s`` seconds yet. False when it did not end, and is left behind.

    In a thread, because a signal would cut it short, which pyzmq takes for its end, and
    because libzmq 4.3.5 sometimes never ends it: a socket with messages waiting that is closed
    just when its peer disconnects is not always let go of, whatever its linger time
    (`scripts/libzmq_term_hang.py` shows it). While the interpreter ends, early releases
    of Python 3.12 start no more threads; there it is done in this one.
    """
    changed = Changed()
    ended: list[bool] = []

    def terminate_alone() -> None:
        # The kernel gives the main thread's signals to others while that one has some.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        terminate()

    def terminate() -> None:
        context.term()
        ended.append(True)
        _contexts.pop(id(context), None)
        changed.notify()

    if not start_detached(terminate_alone, "pubsub-term"):
        terminate()
        return True
    if not changed.wait_for(lambda: bool(ended), max(0.0, lingering_s) + _TERM_S):
        _log.info("libzmq does not end; its thread is left behind")
    return bool(ended)

"""Creates and terminates ZeroMQ contexts; termination may hang."""

from __future__ import annotations

import logging
import signal
from typing import Final

import zmq

from pubsub_common.net.changed import Changed
from pubsub_common.net.detached import start_detached

_log = logging.getLogger(__name__)

# libzmq terminates a context in less than a millisecond, or never.
_TERM_S: Final = 3.0
# See `new_context`.
_FREED_BYTES: Final = 8 * 2**20

# Contexts that were not terminated yet. pyzmq terminates a dropped context in any
# thread that runs the garbage collector, and waits there for its sockets. So none is
# ever dropped.
_contexts: Final[dict[int, zmq.Context[zmq.Socket[bytes]]]] = {}


def new_context(sockets: int | None = None) -> zmq.Context[zmq.Socket[bytes]]:
    """A ZeroMQ context of our own, so that the end of one role never ends another. It
    has room for ``sockets`` sockets, or for 1023, and exists until `terminate_context`.

    From here on glibc keeps up to 16 MiB of freed memory at the end of a heap, not 128
    KiB. Otherwise each large message gets pages that the kernel took back after the
    previous one, and must clear again. The limit is twice the largest block that was
    mapped and freed so far (mallopt(3), M_TRIM_THRESHOLD). This block is never written
    to.
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
    """Terminate ``context``; its closed sockets have at most ``lingering_s`` seconds to
    send their messages. Returns False if it hangs, and is abandoned.

    This uses a thread, because a signal would interrupt it, which pyzmq mistakes for
    its end, and because libzmq 4.3.5 sometimes hangs: a socket with waiting messages
    that closes just when its peer disconnects is not always released, for any linger
    time (`scripts/libzmq_term_hang.py` shows it). While the interpreter ends, early
    releases of Python 3.12 start no more threads; then it runs in the calling thread.
    """
    changed = Changed()
    ended: list[bool] = []

    def terminate_alone() -> None:
        # Otherwise the kernel would deliver the main thread's signals to this thread.
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
        _log.info("libzmq does not stop; its thread keeps running")
    return bool(ended)

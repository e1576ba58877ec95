"""libzmq's proxy for a forwarder that waits for slow subscribers, in calm traffic.

Theory of operation
-------------------
A message takes longer through a thread of Python that has just been woken than through
the loop in C. So while traffic is calm (`calm_traffic`), the forwarder's thread waits
for messages in libzmq's proxy, not in Python. It leaves the proxy for each change of
connections, for its end, and when traffic is no longer calm.

With XPUB_NODROP a full queue blocks the proxy: it loses nothing, but answers no command
until the subscriber reads or its connection ends. Only a sudden flood can do that: more
messages than a queue takes, within a few looks, for a subscriber that has stopped
reading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import zmq

from pubsub_broker.forwarding.calm_traffic import CalmTraffic
from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_broker.forwarding.zmq_proxy import (
    COUNTS_S,
    STATISTICS,
    TERMINATE,
    Counted,
    control_sockets,
    ms_until,
    send_command,
)
from pubsub_common.security.connections import close_connection, written_through

# Fewer bytes than this are only under way.
_ON_ITS_WAY_BYTES: Final = 16_384
# Processor time of more messages than one look may miss, and of fewer than fill a queue.
_WORK_S: Final = 0.0005


class CalmProxy:
    """`forward` belongs to the forwarder's thread, which owns the sockets; all other
    methods to the controlling thread."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        sockets: PlainSockets,
        name: str,
        limit: int,
    ) -> None:
        """``limit``: the messages that a queue takes."""
        self._sockets = sockets
        self._traffic = CalmTraffic(limit, time.thread_time)
        self._lock = threading.Lock()
        self._inside = False
        self._leaving = False
        # How often it was asked for its counts, without an answer yet, and since when
        # (monotonic seconds).
        self._asked = 0
        self._asked_at: float | None = None
        # Until the proxy was entered, and in its last report.
        self._counted = self._told = Counted(0, 0)
        # Its last answer was another one than before: it may be blocked since.
        self._news = False
        self._cpu_s = -1.0
        self._control, self._proxy_end = control_sockets(context, name)

    def forward(self, is_free: Callable[[], bool]) -> bool:
        """Forward until `leave`. Returns False at once if traffic is not calm, or not
        ``is_free()``: the thread has other work. That must be noted before `leave`."""
        if not self._traffic.calm:
            return False
        with self._lock:
            if not self._traffic.calm or not is_free():
                return False
            self._inside = True
        try:
            zmq.proxy_steerable(
                self._sockets.xsub, self._sockets.xpub, None, self._proxy_end
            )
        finally:
            with self._lock:
                self._inside = self._leaving = False
        return True

    def leave(self) -> None:
        """Have the thread leave the proxy, if it is inside."""
        with self._lock:
            if self._inside and not self._leaving:
                self._leaving = True
                self._ask()  # it may be blocked
                self._send(TERMINATE)

    def look(self, counted: int, now: float, thread: threading.Thread) -> bool:
        """Decide whether the proxy may forward until the next look, and otherwise leave
        it. Returns whether it may again, so that the thread must be woken. ``counted``:
        messages that were forwarded outside of it, by ``thread``."""
        before = self._traffic.calm
        self._read()
        unanswered = self._asked_at is not None
        with self._lock:
            asks = self._inside and not self._leaving and not unanswered
            if asks and (self._news or self._has_worked(thread)):
                self._news = False
                self._ask()
        output = self._sockets.output
        calm = self._traffic.look(
            counted + self._told.messages,
            now,
            waits=output.bytes_full or output.held is not None or unanswered,
            stalled=self._stalled,
        )
        if not calm:
            self.leave()
        return calm and not before

    def blocked_since(self) -> float | None:
        """Since when it has left a command without an answer (monotonic seconds)."""
        self._read()
        return self._asked_at

    def counted(self) -> Counted:
        """What it has forwarded; without an answer in `COUNTS_S`, as last reported."""
        until = time.monotonic() + COUNTS_S
        self._read()
        with self._lock:
            if self._inside and not self._leaving and self._asked_at is None:
                self._ask()
        while self._asked_at is not None and self._control.poll(ms_until(until)):
            self._read()
        return self._told

    def told(self) -> Counted:
        """What it has forwarded by its last report."""
        self._read()
        return self._told

    def unblock(self) -> None:
        """Close the connections of subscribers that do not read."""
        for connection, written in written_through(self._sockets.port):
            if written.unsent:
                close_connection(connection)

    def close(self) -> None:
        """After the thread's end."""
        self._control.close(linger=0)
        self._proxy_end.close(linger=0)

    def _has_worked(self, thread: threading.Thread) -> bool:
        """Whether the thread has worked for a while since this was last true: one at rest
        is not woken, and an answer takes time, too."""
        assert thread.ident is not None
        cpu_s = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        if cpu_s - self._cpu_s < _WORK_S:
            return False
        self._cpu_s = cpu_s
        return True

    def _stalled(self) -> bool:
        return any(
            written.unsent > _ON_ITS_WAY_BYTES
            for _, written in written_through(self._sockets.port)
        )

    def _ask(self) -> None:
        """Ask for the counts; the time of the first question without an answer counts."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        self._asked += 1
        self._send(STATISTICS)

    def _send(self, command: bytes) -> None:
        send_command(self._control, command)

    def _read(self) -> None:
        """Read the answers: eight counters, or an empty one from a proxy that ends."""
        while self._control.poll(0):
            answer = self._control.recv_multipart()[1:]
            if len(answer) > 1:
                before, self._told = self._told, self._counted.plus(answer)
                self._news = self._told != before
                self._asked -= 1
                if not self._asked:
                    self._asked_at = None
            else:
                self._counted = self._told

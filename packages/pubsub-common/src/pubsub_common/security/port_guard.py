"""Guards a port that subscribers connect to.

Theory of operation
-------------------
libzmq processes all subscriptions of a peer inside any call on the socket, and does not
return before it has. So the guard has its own thread, and works on the TCP connections.
libzmq's monitor reports the connections, an epoll those with new data, the kernel the
number of bytes, and the socket's count the number of subscriptions. The guard shuts
connections down by their descriptor (`pubsub_common.limits.port_budget` decides which);
libzmq then forgets the peer. While data arrives the guard checks every `_LOOK_S`;
otherwise it sleeps.
"""

from __future__ import annotations

import contextlib
import logging
import math
import resource
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import zmq

from pubsub_common.limits.held_subscriptions import KnownOf
from pubsub_common.limits.port_budget import Closing, PortBudget
from pubsub_common.limits.port_limits import PortLimits, Subscriptions
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net.sockets import option_reader
from pubsub_common.net.tcp_info import ConnectionInfo, TcpInfo
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.endpoints import group_of
from pubsub_common.protocol.forwarder_mark import named_in
from pubsub_common.protocol.messages import Demand
from pubsub_common.security.connections import (
    Connection,
    close_connection,
    connection_at,
)
from pubsub_common.security.handshake_monitor import HandshakeMonitor

_log = logging.getLogger(__name__)

_LOOK_S: Final = 0.01
# The interval of checks while there are connections without new data.
_IDLE_S: Final = 1.0
# The shortest interval between questions to the broker.
_ASK_S: Final = 0.2
# The number of different subscriptions of an XPUB socket. libzmq allows any thread to
# read it. Older versions do not have it.
_TOPICS_COUNT: Final = 116
# Connections that claim to be forwarders before our broker has told us how to recognize
# them: it may learn later than we of another broker of its group.
_INTRODUCED: Final = 64
# Open files that are reserved for other uses than connections: a share, at most this
# many.
_RESERVE: Final = 32
_RESERVE_SHARE: Final = 8

OnFailure = Callable[[str, str], None]


class PortGuard:
    """Guards one XPUB socket, from before it is bound until before it is closed."""

    def __init__(
        self,
        watched: zmq.Socket[bytes],
        limits: PortLimits,
        *,
        name: str,
        secure: bool,
        known: KnownOf | None = None,
        on_failure: OnFailure = lambda _address, _what: None,
    ) -> None:
        """``known`` returns the certain state of connections (`PortBudget.look`). The
        guard's thread calls ``on_failure`` with the IP address and the reason of a
        failed handshake.

        Raises:
            zmq.ZMQError: there are no sockets or files left.
        """
        self._budget = PortBudget(limits)
        # Called in the guard's thread: ask the broker for the needs of registered
        # subscribers.
        self.ask: Callable[[], None] = lambda: None
        self._asked_at = -math.inf
        self._declared: Subscriptions | None = None
        self._known = known
        self._forwarders: frozenset[str] = frozenset()
        # Forwarders with a name that may not be known yet.
        self._introduced: deque[tuple[str, Connection]] = deque(maxlen=_INTRODUCED)
        self._on_failure = on_failure
        self._audit = AuditLog(_log)
        self._infos: dict[int, ConnectionInfo] = {}
        self._connections: dict[int, Connection] = {}
        self._closings: list[Closing] = []
        self._count = option_reader(watched, _TOPICS_COUNT)
        self._waker = Waker()
        self._ending = False
        self._last_total: int | None = None
        self._monitor = _Monitor(self, watched, secure=secure)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def declare(self, declared: Subscriptions) -> None:
        """Set the needs of all registered subscribers. For any thread."""
        if declared != self._declared:
            self._declared = declared
            self._waker.wake()

    def meet(self, demand: Demand) -> None:
        """Set the forwarders and the subscribers that a broker has reported. For any
        thread."""
        forwarders = frozenset(demand.forwarders)
        if forwarders != self._forwarders:
            self._forwarders = forwarders
            self._waker.wake()
        self.declare(Subscriptions(demand.subscriptions, demand.size))

    def introduce(self, subscription: bytes, connection: Connection | None) -> None:
        """A peer has subscribed to the mark of a forwarder. For any thread."""
        name = named_in(subscription)
        if name is not None and connection is not None:
            self._introduced.append((name, connection))
            self._waker.wake()

    def end(self) -> None:
        """Stop guarding. Before the socket is closed."""
        self._ending = True
        self._waker.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """`end`, and release all resources. For the thread that closes the socket."""
        self.end()
        self._monitor.close()
        self._waker.close()

    # In the thread

    def accepted(self, fd: int, address: str, now: float) -> None:
        """The monitor reports a connection of an IP address."""
        connection = connection_at(fd)
        if connection is None:
            return  # closed already
        with contextlib.suppress(OSError):
            self._infos[fd] = ConnectionInfo(fd)
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._connections[fd] = connection
        self._closings += self._budget.accept(fd, group_of(address), now)
        if fd >= _most_files():
            self.spare()

    def ended(self, fd: int) -> None:
        """The monitor reports the end of a connection."""
        self._budget.end(fd)
        self._connections.pop(fd, None)
        info = self._infos.pop(fd, None)
        if info is not None:
            info.release()

    def spare(self) -> None:
        """Open files run out."""
        idle_s: dict[int, float] = {}
        # If others have more connections, for example the control port, they must close
        # some.
        if 2 * len(self._budget) > _most_files():
            for fd, info in self._infos.items():
                told = info.read()
                if told is not None:
                    idle_s[fd] = told.idle_s
        self._closings += self._budget.spare(idle_s)

    def _run(self) -> None:
        with select.epoll() as self._epoll:
            try:
                self._guard()
            finally:
                for info in self._infos.values():
                    info.release()

    def _guard(self) -> None:
        pause = select.poll()
        pause.register(self._waker.fd, select.POLLIN)
        for fd in (self._waker.fd, self._monitor.fd):
            self._epoll.register(fd, select.EPOLLIN)
        looks = False
        while not self._ending:
            if looks:
                pause.poll(_LOOK_S * 1000)
            ready = [fd for fd, _ in self._epoll.poll(0 if looks else self._timeout())]
            self._waker.clear()
            self._turn(ready, time.monotonic())
            looks = bool(self._budget.active)

    def _timeout(self) -> float | None:
        # libzmq's descriptor reports events only once; some may have come since the
        # last check.
        if self._monitor.waits():
            return 0.0
        deadline = self._budget.next_deadline()
        if deadline is None:
            return _IDLE_S if self._infos else None
        return min(_IDLE_S, max(0.0, deadline - time.monotonic()))

    def _turn(self, ready: list[int], now: float) -> None:
        while self._monitor.waits():
            for address, what in self._monitor.read_failures(now):
                self._on_failure(address, what)
        if self._declared is not None:
            self._budget.declare(self._declared, now)
        if self._forwarders:
            self._trust_forwarders()
        told: dict[int, TcpInfo] = {}
        total = self._total()
        looked_at = self._fds(ready, total, now)
        for fd in looked_at:
            info = self._infos.get(fd)
            found = None if info is None else info.read()
            if found is not None:
                told[fd] = found
        received = {fd: each.received for fd, each in told.items()}
        self._closings += self._budget.look(received, total, now, self._known)
        for fd in self._budget.unseen(now):
            if fd in told:
                self._budget.sent(fd, told[fd].acknowledged)
        self._closings += self._budget.silent(now)
        self._ask(now)
        self._close()

    def _trust_forwarders(self) -> None:
        for _ in range(len(self._introduced)):
            name, connection = self._introduced.popleft()
            if self._connections.get(connection.fd) != connection:
                continue
            if name in self._forwarders:
                self._budget.trust(connection.fd)
            else:
                self._introduced.append((name, connection))

    def _fds(
        self, ready: Collection[int], total: int | None, now: float
    ) -> Collection[int]:
        """The connections to check."""
        before, self._last_total = self._last_total, total
        active = self._budget.active
        if not (ready or active) and total != before:
            # The data was processed before the epoll saw it.
            return tuple(self._infos)
        return {*ready, *active, *self._budget.unseen(now)}

    def _total(self) -> int | None:
        try:
            return self._count()
        except zmq.ZMQError:
            return None

    def _ask(self, now: float) -> None:
        if self._budget.asks and now >= self._asked_at + _ASK_S:
            self._asked_at = now
            self.ask()
        self._budget.asks = False

    def _close(self) -> None:
        closings, self._closings = self._closings, []
        for fd, address, reason in closings:
            connection = self._connections.pop(fd, None)
            if connection is not None and close_connection(connection):
                where = f"its connection to port {connection.port} was closed"
                self._audit.warn(address, reason.name, f"{where}: {reason.value}")


class _Monitor(HandshakeMonitor):
    """Reports connections to a guard."""

    def __init__(
        self, guard: PortGuard, watched: zmq.Socket[bytes], *, secure: bool
    ) -> None:
        super().__init__(watched, secure=secure)
        self._guard = guard

    def _connected(self, fd: int, address: str, now: float) -> None:
        self._guard.accepted(fd, address, now)

    def _not_accepted(self) -> None:
        self._guard.spare()

    def _disconnected(self, fd: int, address: str) -> None:
        self._guard.ended(fd)


def _most_files() -> int:
    """The first descriptor that is too high to be a connection's."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return 2**31
    return soft - min(_RESERVE, soft // _RESERVE_SHARE)

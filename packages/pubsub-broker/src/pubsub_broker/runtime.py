"""The runtime state of a broker: its parts, its loop, and the rule for its threads.

Theory of operation
-------------------
The user holds a `Broker`, which delegates to this. Nothing here refers back to it, so a
`Broker` without references is collected, and closed (`pubsub_common.life_cycle`).

One thread at a time uses the parts: the one that configures, runs the loop, or closes,
each under `_turns`. The main thread never does, as an exception of a signal handler
could leave half a message in a socket. It lets another thread work, and waits
(`pubsub_common.uninterrupted`). When its wait for the loop is interrupted, the loop
ends after the current turn, and may be started again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pubsub_broker.config import BrokerConfig
from pubsub_broker.event_loop import EventLoop
from pubsub_broker.forwarding.clear_ports import ClearPorts
from pubsub_broker.parts import BrokerParts
from pubsub_common.errors import PubSubError
from pubsub_common.life_cycle import LifeCycle
from pubsub_common.net.addresses import resolve_own
from pubsub_common.net.detached import start_awaited
from pubsub_common.protocol.listening import near_host
from pubsub_common.uninterrupted import run_uninterrupted

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class _Shift:
    """Work of one thread on the parts. Setting ``over`` ends it early."""

    def __init__(self) -> None:
        self.over = False


class BrokerRuntime:
    """A broker without its public methods. Any thread may call `stop`, `close` and the
    counts; the rest is for one thread at a time."""

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self.life = LifeCycle("broker")
        self.address = ""
        self.port = config.port
        self.clear_ports = ClearPorts()
        self.parts: BrokerParts | None = None
        self.loop: EventLoop | None = None
        self._stopping = False
        self._turns = threading.Lock()
        # The work in progress, and its thread.
        self._shift: _Shift | None = None
        self._claim = threading.Lock()
        self._thread: int | None = None
        self._count = 0  # of events, after the end

    # Life cycle

    def configure(self) -> None:
        """Open and bind everything.

        Raises:
            PubSubError: the broker is configured already, or closed.
            CannotListen: the address is not this host's, or a port is taken.
            ConfigError: the folder of keys or the state file cannot be used, or this
                broker cannot join the group.
        """
        if self.life.forked or self.life.state != "made":
            self.life.begin()  # raises the error
        shift = _Shift()
        run_uninterrupted(
            lambda: self._work(shift, lambda: self._open(shift)), self._ender(shift)
        )
        self.life.check_usable()

    def stop(self) -> None:
        """End `serve` soon. For any thread and for signal handlers."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """Close everything: send a farewell to clients, and let accepted events go out
        within the linger time. For any thread. The first call closes, and returns when
        everything is closed. If the thread that serves calls it, or another thread of
        this broker, closing starts when that thread has ended its turn."""
        if self.life.state in ("made", "closed"):
            return
        parts = self.parts
        if self._thread == threading.get_ident():
            self.life.close()
            self.stop()
        elif parts is not None and threading.current_thread() in parts.threads():
            # For example a log handler that drops this broker while it logs.
            start_awaited(self._close, "pubsub-close-broker")
        else:
            # No exception can interrupt the closing here.
            run_uninterrupted(self._close)

    # Work on the parts, by one thread

    def serve(self) -> None:
        """Serve until `stop`, `close`, or ``max_event_count`` events.

        Raises:
            PubSubError: the broker is not configured, or another thread serves it.
        """
        self.life.check_usable()
        shift = _Shift()
        run_uninterrupted(
            lambda: self._work(shift, lambda: self._serve(shift)), self._ender(shift)
        )

    def turn(self) -> None:
        """Do one turn of `serve`. Raises the same errors."""
        self.do(lambda loop: loop.turn())

    def do(self, work: Callable[[EventLoop], _T]) -> _T:
        """Do work on the loop between two turns and return its result. Raises like
        `serve`."""
        self.life.check_usable()
        shift = _Shift()

        def on_loop() -> _T:
            assert self.loop is not None, "it is there while this is configured"
            return work(self.loop)

        return run_uninterrupted(lambda: self._work(shift, on_loop), self._ender(shift))

    # For any thread

    @property
    def event_count(self) -> int:
        """The number of events, of the kind that ``max_event_count`` limits."""
        loop = self.loop
        return self._count if loop is None else loop.event_count

    def own_keys(self) -> ClientKeys | None:
        """The keys for requests for this broker's status; None if it is not secure."""
        parts = self.parts
        if parts is None or parts.authenticator is None:
            return None
        return parts.authenticator.own_keys()

    def forwarding_ports(self) -> list[int]:
        """The ports from which events are forwarded."""
        self.life.check_usable()
        parts = self.parts
        return [] if parts is None else list(parts.forwarder_pool.ports)

    # Private

    def _ender(self, shift: _Shift) -> Callable[[], None]:
        """Ends this work early when its caller no longer waits for it."""

        def end() -> None:
            shift.over = True
            self._wake()

        return end

    def _wake(self) -> None:
        parts = self.parts
        if parts is not None and not self.life.forked:
            parts.waker.wake()

    def _work(self, shift: _Shift, work: Callable[[], _T]) -> _T:
        """Do work as the only thread."""
        with self._claim:
            current = self._shift
            if current is not None and not current.over:
                raise PubSubError("another thread serves this broker")
            if self.life.state == "closed":
                self.life.check_usable()  # another thread may have closed it just now
            self._shift = shift
        # Work with an interrupted caller may still be in its last turn.
        with self._turns:
            self._thread = threading.get_ident()
            try:
                return work()
            finally:
                self._thread = None
                shift.over = True
                if self.life.state == "closed":
                    self._close_parts()

    def _open(self, shift: _Shift) -> None:
        self.life.begin()
        try:
            self._open_parts()
        except BaseException:
            self.life.close()
            raise
        self.life.configured()
        if shift.over:
            self.life.close()  # the caller of `configure` was interrupted

    def _open_parts(self) -> None:
        host = resolve_own(self.config.host)
        self.address = near_host(host)
        self.parts = parts = BrokerParts(self.config)
        self.port = parts.bind(host, self.config.port)
        self.clear_ports.taken.add(self.port)
        parts.open_forwarders(self.clear_ports)
        parts.load_snapshot()
        self.loop = loop = EventLoop(parts)
        loop.announce()
        loop.join_group()

    def _serve(self, shift: _Shift) -> None:
        self.life.check_usable()
        loop = self.loop
        assert loop is not None, "it is there while this is configured"
        while not (self._stopping or shift.over or loop.finished):
            loop.turn()
        if loop.finished:
            limit = self.config.max_event_count
            _log.info("ending: reached max_event_count %d", limit)

    def _close(self) -> None:
        if self.life.close():
            self.stop()
            with self._turns:
                self._close_parts()

    def _close_parts(self) -> None:
        """Close the open parts. The caller holds `_turns`."""
        parts, loop = self.parts, self.loop
        if parts is None:
            return
        self._count = self.event_count
        self.parts = self.loop = None
        until = time.monotonic() + self.config.linger_s
        try:
            if loop is not None:
                loop.perform(parts.core.farewell())
        finally:
            parts.close(until)

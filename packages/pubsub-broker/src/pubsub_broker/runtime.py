"""What a broker is while it lives: its parts, its loop, and which thread may touch them.

Theory of operation
-------------------
`Broker`, which the user holds, delegates to this, and nothing here knows it: so one that is
dropped is collected, and closed (`pubsub_common.life_cycle`).

One thread at a time serves the parts: the one that configures, runs the loop, or closes, each
under `_turns`. The main thread never does: an exception of a signal handler could leave
half a message in a socket. It lets another thread work, and waits
(`pubsub_common.uninterrupted`). When its wait for the loop is interrupted, the loop ends
after the turn that it is in, and may be started again.
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
    """Some work of one thread on the parts. Whoever sets ``over`` has it end early."""

    def __init__(self) -> None:
        self.over = False


class BrokerRuntime:
    """A broker without its public methods. `stop`, `close` and counts are for any thread;
    the rest for one at a time."""

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
        # The work that is being done, and its thread.
        self._shift: _Shift | None = None
        self._claim = threading.Lock()
        self._thread: int | None = None
        self._count = 0  # of events, when all is closed

    # Life

    def configure(self) -> None:
        """Open and bind everything.

        Raises:
            PubSubError: this was configured already, or is closed.
            CannotListen: the address is not this host's, or a port is taken.
            ConfigError: the folder of keys or the file of the state cannot be used, or this
                broker cannot be in the group.
        """
        if self.life.forked or self.life.state != "made":
            self.life.begin()  # which raises
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
        """End everything: a farewell to clients, and accepted events have the linger time to
        go out. For any thread; the first call closes, and returns when all is closed. Called
        by the thread that serves, or another one of this broker, it is done when that
        has ended its turn."""
        if self.life.state in ("made", "closed"):
            return
        parts = self.parts
        if self._thread == threading.get_ident():
            self.life.close()
            self.stop()
        elif parts is not None and threading.current_thread() in parts.threads():
            # It logs, say, and a handler of the log is tired of this broker.
            start_awaited(self._close, "pubsub-close-broker")
        else:
            # Closed where no exception can come between this and the rest.
            run_uninterrupted(self._close)

    # Work on the parts, by one thread

    def serve(self) -> None:
        """Serve until `stop`, `close`, or as many events as there may be.

        Raises:
            PubSubError: not configured, or another thread serves.
        """
        self.life.check_usable()
        shift = _Shift()
        run_uninterrupted(
            lambda: self._work(shift, lambda: self._serve(shift)), self._ender(shift)
        )

    def turn(self) -> None:
        """One turn of `serve`. Raises as that does."""
        self.do(lambda loop: loop.turn())

    def do(self, work: Callable[[EventLoop], _T]) -> _T:
        """The result of some work on the loop between two turns. Raises as `serve` does."""
        self.life.check_usable()
        shift = _Shift()

        def on_loop() -> _T:
            assert self.loop is not None, "it is there while this is configured"
            return work(self.loop)

        return run_uninterrupted(lambda: self._work(shift, on_loop), self._ender(shift))

    # For any thread

    @property
    def event_count(self) -> int:
        """How many events there were, of the kind that ``max_event_count`` limits."""
        loop = self.loop
        return self._count if loop is None else loop.event_count

    def own_keys(self) -> ClientKeys | None:
        """The keys to ask this broker for its status with; None: it is not secure."""
        parts = self.parts
        if parts is None or parts.authenticator is None:
            return None
        return parts.authenticator.own_keys()

    def forwarding_ports(self) -> list[int]:
        """The ports from which events are forwarded."""
        self.life.check_usable()
        parts = self.parts
        return [] if parts is None else list(parts.forwarder_pool.ports)

    # Inside

    def _ender(self, shift: _Shift) -> Callable[[], None]:
        """What has this work end soon, when nobody waits for it any more."""

        def end() -> None:
            shift.over = True
            self._wake()

        return end

    def _wake(self) -> None:
        parts = self.parts
        if parts is not None and not self.life.forked:
            parts.waker.wake()

    def _work(self, shift: _Shift, work: Callable[[], _T]) -> _T:
        """Do some work as the one thread that may."""
        with self._claim:
            current = self._shift
            if current is not None and not current.over:
                raise PubSubError("another thread serves this broker")
            if self.life.state == "closed":
                self.life.check_usable()  # closed just now
            self._shift = shift
        # One whose caller was interrupted may still be in its last turn.
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
            _log.info("ending: max_event_count is %d, and so many there were", limit)

    def _close(self) -> None:
        if self.life.close():
            self.stop()
            with self._turns:
                self._close_parts()

    def _close_parts(self) -> None:
        """Close what is open. The caller holds `_turns`."""
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

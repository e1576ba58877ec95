"""Keeps a client registered with a broker, in a thread of its own.

The thread renews the lease whatever the user's thread does, registers again when
the broker wants it, and hands what it learns to the role (`control_loop`). Here is what
other threads may do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.clock_offset import Offset
from pubsub_common.client.control_loop import ControlLoop
from pubsub_common.client.goodbye import DISCONNECT_REPLY_S
from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.registration import RegistrationState
from pubsub_common.client.session_updates import SessionUpdate
from pubsub_common.errors import PubSubError
from pubsub_common.net.changed import Changed
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.messages import ClockRange, Registered

if TYPE_CHECKING:
    from pathlib import Path

    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# At the end a broker may have to be found, and is asked for two answers; the rest is for a callback
# of the role that is running just then.
_CLOSE_S: Final = 3 * DISCONNECT_REPLY_S + 3.0


def client_keys(path: str | Path | None) -> ClientKeys | None:
    """The keys in a client's file; None without a file.

    Raises:
        ConfigError: they cannot be used.
    """
    if path is None:
        return None
    from pubsub_common.security.keys import load_client_keys

    return load_client_keys(path)


class ControlClient:
    """Registers one client and keeps it registered until `close`. All methods are for any
    thread.

    ``on_update`` is called in the control thread for everything that `session` reports.
    ``on_wake`` is called there too, whenever the thread wakes, for work that the role must
    do beside the user's thread; it returns the seconds after which it wants to be called
    again, or None. ``input_fd`` wakes the thread. ``heartbeat`` is what heartbeats tell.
    When one of these raises, the client is finished, with that as its ``error``.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        brokers: BrokerPlaces,
        identity: Identity,
        on_update: Callable[[SessionUpdate], None],
        *,
        on_wake: Callable[[], float | None] = lambda: None,
        input_fd: int | None = None,
        keys: ClientKeys | None = None,
        heartbeat: HeartbeatInputs | None = None,
    ) -> None:
        """``keys`` are for secure brokers; without them only one that is not secure
        will do."""
        self._waker = Waker()
        self._registration = RegistrationState(brokers.shown, identity)
        self._loop = ControlLoop(
            context,
            self._registration,
            on_update,
            on_wake,
            self._waker,
            input_fd,
            keys,
            heartbeat,
            brokers,
        )
        # Whoever takes it starts the thread, or sees to it that it never starts.
        self._may_start = [True]
        self._ended = False
        self._changed = Changed()
        self._thread = threading.Thread(
            target=self._run, name="pubsub-control", daemon=True
        )

    @property
    def error(self) -> PubSubError | None:
        """Why this client is finished, to be raised; None while it is not."""
        return self._registration.error

    @property
    def own_thread(self) -> bool:
        """Whether the caller is the control thread, hence one of the callbacks: it must
        not wait for what that thread does."""
        return self._thread.ident == threading.get_ident()

    def clock_offset(self) -> Offset | None:
        """What is known of the broker's clock against ours; None: nothing yet."""
        return self._loop.clock_offset()

    def publishers_clock(self) -> ClockRange | None:
        """What the broker has told of publishers' clocks; None: nothing yet."""
        return self._loop.publishers_clock

    def start(self) -> None:
        """Connect and begin to register. After `close`: does nothing."""
        if not self._take_start():
            return
        try:
            self._loop.connect()
            self._thread.start()
        except BaseException:
            if self._thread.ident is None:
                self._end_without_thread()
            raise

    def wait_registered(
        self, timeout_s: float, *, stopped: Callable[[], bool] = lambda: False
    ) -> Registered:
        """The broker's first answer.

        Raises:
            BrokerUnreachable: none came within ``timeout_s`` seconds.
            HandshakeFailed: the broker and this client do not agree on keys.
            RegistrationRefused: it was a refusal, or "later" until then.
            NotReady: ``stopped`` became true before it came.
        """
        return self._registration.wait_registered(timeout_s, stopped=stopped)

    def submit(self, identity: Identity) -> int:
        """Tell the broker that this client is ``identity`` now, under the same session.
        What to wait for with `wait_told`. Of several calls the last one holds: where
        threads compete, the caller orders them with a lock of its own."""
        number = self._registration.submit(identity)
        self._waker.wake()
        return number

    def wait_told(self, number: int, timeout_s: float) -> None:
        """Wait until the broker knows what `submit` returned ``number`` for, or something
        newer.

        Raises:
            BrokerUnreachable: it did not answer within ``timeout_s`` seconds; it will
                be told as soon as it does.
            RegistrationRefused: it will not have this; the client is finished.
            NotReady: the client was closed meanwhile.
            PubSubError: the caller is a callback of the control thread, which tells the
                broker after it has returned.
        """
        if self.own_thread:
            raise PubSubError("a callback cannot wait until the broker is told")
        self._registration.wait_told(number, timeout_s)

    def change(self, identity: Identity, timeout_s: float) -> None:
        """`submit` and `wait_told`."""
        self.wait_told(self.submit(identity), timeout_s)

    def wake(self) -> None:
        """Have the control thread call ``on_wake`` soon. For signal handlers too."""
        self._waker.wake()

    def renew(self) -> None:
        """Send a heartbeat soon, to learn what has changed. For any thread."""
        self._loop.renew()
        self._waker.wake()

    def close(self, next_sequences: Mapping[str, int]) -> bool:
        """Disconnect from the broker, end the thread, give all descriptors back. Waits for
        that, some three seconds at most where no broker answers.

        False when the thread has not ended yet: it is the one that called (the callback
        has to return first), or a callback does not return, and it is left behind. It
        ends by itself as soon as it can. Again: waits for the same.
        """
        self._loop.leave(next_sequences)
        self._registration.close()
        self._waker.wake()
        if self._take_start():
            self._end_without_thread()
        elif self.own_thread:
            return False
        if not self._changed.wait_for(lambda: self._ended, _CLOSE_S):
            _log.warning("a callback does not return; its thread is left behind")
        return self._ended

    def _run(self) -> None:
        try:
            self._loop.run()
        finally:
            self._end()

    def _end(self) -> None:
        self._waker.close()
        self._ended = True
        self._changed.notify()

    def _end_without_thread(self) -> None:
        self._loop.close_sockets()
        self._end()

    def _take_start(self) -> bool:
        try:
            return self._may_start.pop()
        except IndexError:
            return False

"""Keeps a client registered with a broker, in a separate thread.

The thread renews the lease independently of the user's thread, registers again when the
broker requires it, and passes updates to the role (`control_loop`). This class has the
methods for other threads.
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

# At the end a broker may have to be found, and sends two replies; the rest is for a running
# callback of the role.
_CLOSE_S: Final = 3 * DISCONNECT_REPLY_S + 3.0


def client_keys(path: str | Path | None) -> ClientKeys | None:
    """The keys in a client's file; None without a file.

    Raises:
        ConfigError: They cannot be used.
    """
    if path is None:
        return None
    from pubsub_common.security.keys import load_client_keys

    return load_client_keys(path)


class ControlClient:
    """Registers one client and keeps it registered until `close`. All methods are for any
    thread.

    ``on_update`` is called in the control thread for each update of `session`. ``on_wake`` is
    called there too, whenever the thread wakes, for the role's work outside the user's
    thread; it returns the seconds until the next call, or None. ``input_fd`` wakes the
    thread. ``heartbeat`` has the content of heartbeats. If one of these raises, the client
    ends, with that as its ``error``.
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
        """``keys`` are for secure brokers; without them the broker must not be secure."""
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
        # The taker starts the thread, or prevents its start.
        self._may_start = [True]
        self._ended = False
        self._changed = Changed()
        self._thread = threading.Thread(
            target=self._run, name="pubsub-control", daemon=True
        )

    @property
    def error(self) -> PubSubError | None:
        """Why this client has ended, to be raised; None while it has not."""
        return self._registration.error

    @property
    def own_thread(self) -> bool:
        """Whether the caller is the control thread, in a callback: it must not wait for that
        thread."""
        return self._thread.ident == threading.get_ident()

    def clock_offset(self) -> Offset | None:
        """The broker's clock against ours; None: not known yet."""
        return self._loop.clock_offset()

    def publishers_clock(self) -> ClockRange | None:
        """The range of publishers' clocks, from the broker; None: not known yet."""
        return self._loop.publishers_clock

    def start(self) -> None:
        """Connect and begin to register. After `close` this does nothing."""
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
        """The broker's first reply.

        Raises:
            BrokerUnreachable: None came within ``timeout_s`` seconds.
            HandshakeFailed: The keys of the broker and of this client do not match.
            RegistrationRefused: The broker refused, or asked for a later try until then.
            NotReady: ``stopped`` became true before.
        """
        return self._registration.wait_registered(timeout_s, stopped=stopped)

    def submit(self, identity: Identity) -> int:
        """Send the broker another ``identity`` of this client, under the same session.
        Returns the number for `wait_told`. The last call wins: competing threads need a
        lock of their own."""
        number = self._registration.submit(identity)
        self._waker.wake()
        return number

    def wait_told(
        self,
        number: int,
        timeout_s: float,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Wait until the broker knows the identity with this number from `submit`, or a later
        one.

        Raises:
            BrokerUnreachable: It did not answer within ``timeout_s`` seconds. It gets the
                identity when it answers.
            RegistrationRefused: It refused the identity; the client has ended.
            NotReady: The client was closed meanwhile, or ``stopped`` became true.
            PubSubError: The caller is a callback of the control thread, which sends the
                identity after it has returned.
        """
        if self.own_thread:
            raise PubSubError("a callback cannot wait for the broker")
        self._registration.wait_told(number, timeout_s, stopped=stopped)

    def change(self, identity: Identity, timeout_s: float) -> None:
        """`submit` and `wait_told`."""
        self.wait_told(self.submit(identity), timeout_s)

    def wake(self) -> None:
        """Make the control thread call ``on_wake`` soon. For signal handlers too."""
        self._waker.wake()

    def renew(self) -> None:
        """Send a heartbeat soon, to learn of changes. For any thread."""
        self._loop.renew()
        self._waker.wake()

    def close(self, next_sequences: Mapping[str, int]) -> bool:
        """Disconnect from the broker, end the thread, and release all descriptors. Waits for
        that, about three seconds at most if no broker answers.

        False if the thread has not ended yet: it is the caller (the callback must return
        first), or a callback does not return. It ends as soon as it can. Another call waits
        for the same.
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

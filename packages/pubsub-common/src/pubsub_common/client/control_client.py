"""Keeps a client registered with the broker, in a thread of its own.

The thread renews the lease whatever the user's thread does, registers again when
the broker wants it, and hands what it learns to the role.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.clock_offset import ClockProbes, Offset
from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.client.handshake_diagnosis import Diagnosis, HandshakeDiagnosis
from pubsub_common.client.registration import RegistrationState
from pubsub_common.client.session import ClientSession, HeartbeatInputs, Identity
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    Postponed,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import HandshakeFailed, PubSubError, RegistrationRefused
from pubsub_common.net.waker import Waker
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
    Disconnected,
    Registered,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

# How long the broker may take to answer when this client disconnects.
_DISCONNECT_REPLY_S: Final = 1.0
_MAX_POLL_S: Final = 3600.0


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
    """Registers one client and keeps it registered until `close`.

    ``on_update`` is called in the control thread for everything that `session` reports.
    ``on_wake`` is called there too, whenever the thread wakes, for work that the role must
    do beside the user's thread; it returns the seconds after which it wants to be called
    again, or None. ``input_fd`` wakes the thread. ``heartbeat`` is what heartbeats tell.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        identity: Identity,
        on_update: Callable[[SessionUpdate], None],
        *,
        on_wake: Callable[[], float | None] = lambda: None,
        input_fd: int | None = None,
        keys: ClientKeys | None = None,
        heartbeat: HeartbeatInputs | None = None,
    ) -> None:
        """``keys`` are for a secure broker; without them only one that is not secure
        will do."""
        self.endpoint = endpoint
        self._on_update = on_update
        self._on_wake = on_wake
        self._input_fd = input_fd
        self._waker = Waker()
        self._session = ClientSession(identity, time.monotonic(), heartbeat)
        # The monotonic clock is for one machine only, and so is loopback.
        shared = identity.clock != "realtime" or endpoint.startswith("tcp://127.")
        self._probes = ClockProbes(shared=shared)
        self._publishers_clock: ClockRange | None = None
        self._registration = RegistrationState(endpoint, identity)
        self._final_sequences: Mapping[str, int] | None = None
        self._connected = False
        self._socket = ControlSocket(context, endpoint, keys)
        self._handshakes = HandshakeDiagnosis(self._socket, keys)
        self._thread = threading.Thread(
            target=self._run, name="pubsub-control", daemon=True
        )

    @property
    def error(self) -> PubSubError | None:
        """Why this client is finished; None while it is not."""
        return self._registration.error

    def clock_offset(self) -> Offset | None:
        """What is known of the broker's clock against ours; None: nothing yet."""
        return self._probes.offset(time.time_ns())

    def publishers_clock(self) -> ClockRange | None:
        """What the broker has told of publishers' clocks; None: nothing yet."""
        return self._publishers_clock

    def start(self) -> None:
        """Connect and begin to register."""
        self._socket.connect()
        self._thread.start()

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

    def change(self, identity: Identity, timeout_s: float) -> None:
        """Tell the broker that this client is ``identity`` now, under the same session.

        Raises:
            BrokerUnreachable: it did not answer within ``timeout_s`` seconds; it will
                be told as soon as it does.
            RegistrationRefused: it will not have this; the client is finished.
        """
        self._registration.change(identity, timeout_s, self._waker.wake)

    def wake(self) -> None:
        """Have the control thread call ``on_wake`` soon."""
        self._waker.wake()

    def close(self, next_sequences: Mapping[str, int]) -> None:
        """Disconnect from the broker (waits at most about two seconds for its answers) and
        end the thread."""
        self._final_sequences = next_sequences
        self._waker.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._handshakes.close()
        self._socket.close()
        self._waker.close()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # of a callback, or ours: it must be raised
            _log.exception("the control thread of this client ends")
            self._fail(
                PubSubError(f"the connection to the broker ended: {error!r}"),
                "internal",
            )

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._socket.fd, select.POLLIN)
        poller.register(self._waker.fd, select.POLLIN)
        poller.register(self._handshakes.fd, select.POLLIN)
        if self._input_fd is not None:
            poller.register(self._input_fd, select.POLLIN)
        while self._final_sequences is None:
            self._check_handshakes()
            self._tick()
            self._receive_all()
            again_s = self._on_wake()
            if not self._socket.changed(self._connected):
                poller.poll(self._timeout_ms(again_s))
            self._waker.clear()
        if self._input_fd is not None:
            poller.unregister(self._input_fd)  # nobody serves it any more
        self._disconnect(poller)

    def _timeout_ms(self, again_s: float | None) -> float | None:
        waits = [] if again_s is None else [again_s]
        for deadline in (
            self._session.next_deadline(),
            self._probes.next_deadline(),
            self._handshakes.next_deadline(),
        ):
            if deadline is not None:
                waits.append(deadline - time.monotonic())
        # A broker may name any lease, but poll takes only so many milliseconds.
        return min(max(0.0, min(waits)), _MAX_POLL_S) * 1000 + 0.5 if waits else None

    def _check_handshakes(self) -> None:
        registered = self._registration.registered
        for diagnosis in self._handshakes.check(registered=registered):
            self._on_failed_handshake(diagnosis)

    def _on_failed_handshake(self, diagnosis: Diagnosis) -> None:
        if diagnosis.final:
            self._session.finish()
            self._fail(HandshakeFailed(diagnosis.text), "handshake")
        elif diagnosis.text != self._registration.hint:
            self._registration.hint = diagnosis.text
            _log.warning("%s; still trying", diagnosis.text)

    def _fail(self, error: PubSubError, code: str) -> None:
        """This client is finished."""
        # Before the role is told, so that the threads that it wakes find the reason.
        self._registration.error = error
        self._on_update(Rejected(code, str(error)))
        self._registration.notify()

    def _tick(self) -> None:
        connected = self._socket.connected()
        if connected:
            self._session.connected(time.monotonic())
            if not self._connected:
                self._session.reconnected(time.monotonic())
        self._connected = connected
        identity = self._registration.take_change()
        if identity is not None:
            self._session.change(identity, time.monotonic())
        offset = self.clock_offset()
        clock = None
        if offset is not None:
            clock = ClockOffset(offset_ns=offset.offset_ns, bound_ns=offset.bound_ns)
        request, updates = self._session.tick(time.monotonic(), clock)
        for update in updates:
            self._report(update)
        if request is not None:
            if self._socket.send(request):
                self._connected = True  # it may have come since the look above
            else:
                self._session.send_failed(time.monotonic())
        if self._probes.due(time.monotonic()):
            # Without a connection, the next one is in time.
            self._socket.send(ClockRequest(id=0, sent_ns=time.time_ns()))

    def _receive_all(self) -> None:
        while (received := self._socket.receive()) is not None:
            reply = received.reply
            match reply:
                case None:
                    continue
                case ClockReply():
                    self._probes.answer(
                        reply.sent_ns,
                        reply.received_ns,
                        reply.replied_ns,
                        received.at_ns,
                    )
                case Alive(publishers_clock=clock):
                    self._publishers_clock = clock
            for update in self._session.receive(reply, time.monotonic()):
                self._report(update)

    def _report(self, update: SessionUpdate) -> None:
        match update:
            case Accepted(again=True):
                _log.info("registered again with the broker at %s", self.endpoint)
            case BrokerLost(farewell):
                why = "is shutting down" if farewell else "does not answer"
                _log.warning(
                    "the broker at %s %s; trying to register again", self.endpoint, why
                )
            case Postponed(code, detail):
                if self._registration.postponed(RegistrationRefused(code, detail)):
                    _log.warning(
                        "the broker at %s: %s; trying again", self.endpoint, detail
                    )
            case Rejected(code, detail, ended):
                self._fail(RegistrationRefused(code, detail, ended=ended), code)
                return
        self._on_update(update)
        if isinstance(update, Accepted):
            self._probes.begin(time.monotonic())
            self._registration.joined(update.reply)
        self._registration.notify()

    def _disconnect(self, poller: select.poll) -> None:
        # A client that the broker is registering at this moment would be kept for a lease.
        if self._session.registering and self._socket.connected():
            for reply in self._replies(poller):
                self._session.receive(reply, time.monotonic())
                if not self._session.registering:
                    break
        request = self._session.leave(self._final_sequences or {})
        if request is None or not self._socket.send(request):
            return
        for reply in self._replies(poller):
            if isinstance(reply, Disconnected) and reply.id == request.id:
                return

    def _replies(self, poller: select.poll) -> Iterator[messages.Reply]:
        """What the broker sends while this client disconnects, but not for long."""
        deadline = time.monotonic() + _DISCONNECT_REPLY_S
        while (left_s := deadline - time.monotonic()) > 0:
            received = self._socket.receive()
            if received is None:
                poller.poll(left_s * 1000 + 0.5)
                self._waker.clear()
            elif received.reply is not None:
                yield received.reply

"""The control thread of a client: its session, its socket, and what it hands to the role.

Only that thread uses what is here, from `ControlLoop.run` on. It ends with the sockets
closed, by their owner.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.broker_place import BrokerPlace
from pubsub_common.client.clock_offset import ClockProbes, Offset
from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.client.goodbye import say_goodbye
from pubsub_common.client.handshake_diagnosis import Diagnosis, HandshakeDiagnosis
from pubsub_common.client.identity import HeartbeatInputs
from pubsub_common.client.registration import RegistrationState
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    HeartbeatRefused,
    Postponed,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import HandshakeFailed, PubSubError, RegistrationRefused
from pubsub_common.net.waker import Waker
from pubsub_common.protocol.endpoints import host_of, is_loopback
from pubsub_common.protocol.messages import (
    Alive,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
)

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

_MAX_POLL_S: Final = 3600.0


class ControlLoop:
    """What the control thread does, until `leave` is called from any thread."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        registration: RegistrationState,
        on_update: Callable[[SessionUpdate], None],
        on_wake: Callable[[], float | None],
        waker: Waker,
        input_fd: int | None,
        keys: ClientKeys | None,
        heartbeat: HeartbeatInputs | None,
        place: BrokerPlace | None,
    ) -> None:
        identity, endpoint = registration.identity, registration.endpoint
        self.publishers_clock: ClockRange | None = None
        self._registration = registration
        self._on_update = on_update
        self._on_wake = on_wake
        self._waker = waker
        self._input_fd = input_fd
        self._place = place
        self._session = ClientSession(identity, time.monotonic(), heartbeat)
        # The monotonic clock is for one machine only, and so is loopback.
        host = host_of(endpoint.removeprefix("tcp://"))
        shared = identity.clock != "realtime" or is_loopback(host)
        self._probes = ClockProbes(shared=shared)
        self._final_sequences: Mapping[str, int] | None = None
        self._connected = False
        self._renewal_wanted = False
        self._socket = ControlSocket(context, endpoint, keys)
        try:
            self._handshakes = HandshakeDiagnosis(self._socket, keys)
        except BaseException:
            self._socket.close()
            raise

    # For any thread

    def clock_offset(self) -> Offset | None:
        """As `ControlClient.clock_offset`."""
        return self._probes.offset(time.time_ns())

    def leave(self, next_sequences: Mapping[str, int]) -> None:
        """Disconnect from the broker soon, and end. Again: does nothing."""
        if self._final_sequences is None:
            self._final_sequences = next_sequences

    def renew(self) -> None:
        """Send a heartbeat at the next turn."""
        self._renewal_wanted = True

    def close_sockets(self) -> None:
        """For a loop that never runs; else it does so itself."""
        self._handshakes.close()
        self._socket.close()

    # For the control thread

    def connect(self) -> None:
        """Connect to the broker, before the thread begins."""
        self._socket.connect()

    def run(self) -> None:
        """Serve until `leave`, disconnect, close the sockets. An exception, of a callback
        of the role or ours, ends the client, but not the thread: that one says goodbye."""
        poller = select.poll()
        try:
            for fd in (self._socket.fd, self._waker.fd, self._handshakes.fd):
                poller.register(fd, select.POLLIN)
            if self._input_fd is not None:
                poller.register(self._input_fd, select.POLLIN)
            try:
                self._serve(poller)
            except BaseException as error:
                self._end_by(error)
            if self._input_fd is not None:
                poller.unregister(self._input_fd)  # nobody serves it any more
            sequences = self._final_sequences or {}
            say_goodbye(self._session, self._socket, sequences, poller, self._waker)
        finally:
            self.close_sockets()

    def _serve(self, poller: select.poll) -> None:
        while self._final_sequences is None:
            self._follow_broker()
            self._check_handshakes()
            self._tick()
            self._receive_all()
            again_s = self._on_wake()
            if not self._socket.changed(self._connected):
                poller.poll(self._timeout_ms(again_s))
            self._waker.clear()

    def _end_by(self, error: BaseException) -> None:
        """This client is finished by an exception; its user raises it, and closes the
        client, which is waited for here."""
        _log.error("the control thread of this client ends", exc_info=error)
        reason = PubSubError(f"the connection to the broker ended: {error!r}")
        reason.__cause__ = error
        try:
            self._fail(reason, "internal")
        except Exception:
            _log.exception("the role cannot be told")
            self._registration.notify()
        poller = select.poll()
        poller.register(self._waker.fd, select.POLLIN)
        while self._final_sequences is None:
            poller.poll()
            self._waker.clear()

    def _timeout_ms(self, again_s: float | None) -> float | None:
        waits = [] if again_s is None else [again_s]
        for deadline in (
            self._session.next_deadline(),
            self._probes.next_deadline(),
            self._handshakes.next_deadline(),
        ):
            if deadline is not None:
                waits.append(deadline - time.monotonic())
        due_s = None if self._place is None else self._place.due_s(time.monotonic())
        if due_s is not None:
            waits.append(due_s)
        # A broker may name any lease, but poll takes only so many milliseconds.
        return min(max(0.0, min(waits)), _MAX_POLL_S) * 1000 + 0.5 if waits else None

    def _follow_broker(self) -> None:
        """Connect to where the broker is now, if its name has another address."""
        if self._place is not None and self._place.look(time.monotonic()):
            where = self._place.endpoint
            _log.warning("the broker is looked for at %s now", where)
            self._registration.endpoint = where
            self._socket.move(where)

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
        self._registration.fail(error)
        self._on_update(Rejected(code, str(error)))
        self._registration.notify()

    def _tick(self) -> None:
        connected = self._socket.connected()
        if connected:
            self._session.connected(time.monotonic())
            if not self._connected:
                self._session.reconnected(time.monotonic())
        self._connected = connected
        if self._renewal_wanted:
            self._renewal_wanted = False
            self._session.renew(time.monotonic())
        change = self._registration.take_change()
        if change is not None:
            self._session.change(change.identity, time.monotonic(), change.number)
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
                    self.publishers_clock = clock
            for update in self._session.receive(reply, time.monotonic()):
                self._report(update)

    def _report(self, update: SessionUpdate) -> None:
        where = self._registration.endpoint
        match update:
            case Accepted(again=True):
                _log.info("registered again with the broker at %s", where)
            case BrokerLost(farewell):
                why = "is shutting down" if farewell else "does not answer"
                _log.warning(
                    "the broker at %s %s; trying to register again", where, why
                )
            case Postponed(code, detail):
                if self._registration.postponed(RegistrationRefused(code, detail)):
                    _log.warning("the broker at %s: %s; trying again", where, detail)
            case HeartbeatRefused(_, detail):
                _log.warning(
                    "the broker at %s refused a heartbeat: %s; registering again",
                    *(where, detail),
                )
            case Rejected(code, detail, ended):
                self._fail(RegistrationRefused(code, detail, ended=ended), code)
                return
        self._on_update(update)
        if isinstance(update, Accepted):
            self._probes.begin(time.monotonic())
            self._registration.joined(update.reply, self._session.told_change)
        self._registration.notify()

"""The control thread of a client: its session, its socket, and the updates for the role.

Only that thread uses this, from `ControlLoop.run` on. It closes the sockets at its end.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.broker_link import BrokerLink
from pubsub_common.client.broker_moves import BrokerMoves
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.clock_offset import Offset
from pubsub_common.client.goodbye import DISCONNECT_REPLY_S, say_goodbye
from pubsub_common.client.identity import HeartbeatInputs
from pubsub_common.client.registration import RegistrationState
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import (
    Accepted,
    BrokerLost,
    BrokersUpdated,
    HeartbeatRefused,
    Postponed,
    Rejected,
    SessionUpdate,
)
from pubsub_common.earliest import earliest
from pubsub_common.errors import HandshakeFailed, PubSubError, RegistrationRefused
from pubsub_common.net.waker import Waker
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
    """The work of the control thread, until any thread calls `leave`."""

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
        brokers: BrokerPlaces,
    ) -> None:
        identity = registration.identity
        self.publishers_clock: ClockRange | None = None
        self._registration = registration
        self._on_update = on_update
        self._on_wake = on_wake
        self._waker = waker
        self._input_fd = input_fd
        self._session = ClientSession(identity, time.monotonic(), heartbeat)
        self._final_sequences: Mapping[str, int] | None = None
        self._renewal_wanted = False
        self._poller = select.poll()
        self._poller.register(waker.fd, select.POLLIN)

        def new_link(name: str) -> BrokerLink:
            # The monotonic clock and loopback are for one machine only.
            one_clock = identity.clock != "realtime"
            place = brokers.place(name)
            return BrokerLink(context, place, keys, waker.wake, one_clock=one_clock)

        self._moves = BrokerMoves(brokers, new_link, self._poller)

    # For any thread

    def clock_offset(self) -> Offset | None:
        """As `ControlClient.clock_offset`."""
        return self._moves.probes.offset(time.time_ns())

    def leave(self, next_sequences: Mapping[str, int]) -> None:
        """Disconnect from the broker soon, and end. Again, this does nothing."""
        if self._final_sequences is None:
            self._final_sequences = next_sequences

    def renew(self) -> None:
        """Send a heartbeat at the next turn."""
        self._renewal_wanted = True

    def close_sockets(self) -> None:
        """For a loop that never runs; else the loop does it."""
        self._moves.close()

    # For the control thread

    def connect(self) -> None:
        """Connect to the broker, before the thread begins."""
        if self._moves.link is not None:
            self._moves.link.connect()

    def run(self) -> None:
        """Serve until `leave`, disconnect, close the sockets. An exception, also of a
        callback, ends the client but not the thread, which still disconnects."""
        poller = self._poller
        try:
            if self._input_fd is not None:
                poller.register(self._input_fd, select.POLLIN)
            try:
                while self._final_sequences is None:
                    self._serve()
                    self._wait(self._on_wake())
            except BaseException as error:
                self._end_by(error)
            if self._input_fd is not None:
                poller.unregister(self._input_fd)  # it is not served any more
            self._say_goodbye()
        finally:
            self.close_sockets()

    def _serve(self) -> None:
        """Do the work with the broker."""
        link = self._moves.link
        if link is not None:
            if link.follow():
                self._moves.probes = link.probes
                _log.warning("the address of the broker is %s now", link.where)
            self._check_handshakes(link)
            self._tick(link)
            self._receive_all(link)
        moves, now = self._moves, time.monotonic()
        moves.look(self._session, now)
        if moves.turn(self._session, now):
            self.publishers_clock = None
        self._registration.endpoint = moves.shown
        why = moves.why_none()
        if why is not None:
            self._session.finish()
            self._fail(HandshakeFailed(why), "handshake")

    def _wait(self, at_most_s: float | None) -> None:
        """Wait until there is something to do."""
        if not self._moves.has_news():
            self._poller.poll(self._timeout_ms(at_most_s))
        self._waker.clear()

    def _say_goodbye(self) -> None:
        """Disconnect. A client between two brokers goes to the next one for that, if it
        answers soon: otherwise its group would keep the client for a lease."""
        session, until = self._session, time.monotonic() + DISCONNECT_REPLY_S
        known = session.session is not None and session.next_deadline() is not None
        moving = known and not self._moves.is_connected()
        while moving and (left_s := until - time.monotonic()) > 0:
            self._serve()
            moving = not (session.registering or session.registered)
            if moving:
                self._wait(left_s)
        link = self._moves.link
        if link is not None:
            sequences = self._final_sequences or {}
            say_goodbye(session, link.socket, sequences, self._poller, self._waker)

    def _end_by(self, error: BaseException) -> None:
        """An exception ends this client; its user gets it, and closes the client, which is
        waited for here."""
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
        now = time.monotonic()
        due_s = earliest(again_s, self._moves.due_s(self._session, now))
        deadline = self._session.next_deadline()
        if self._moves.link is not None and deadline is not None:
            due_s = earliest(due_s, deadline - now)
        if due_s is None:
            return None
        # A broker may set any lease, but poll has a limit.
        return min(max(0.0, due_s), _MAX_POLL_S) * 1000 + 0.5

    def _check_handshakes(self, link: BrokerLink) -> None:
        registered = self._registration.registered
        for diagnosis in link.failed_handshakes(registered=registered):
            if diagnosis.final:
                self._session.finish()
                self._fail(HandshakeFailed(diagnosis.text), "handshake")
            else:
                self._registration.diagnosed(diagnosis)

    def _fail(self, error: PubSubError, code: str) -> None:
        """This client has ended."""
        # Before the role gets it, so that the threads that it wakes find the reason.
        self._registration.fail(error)
        self._on_update(Rejected(code, str(error)))
        self._registration.notify()

    def _tick(self, link: BrokerLink) -> None:
        before = link.connected
        if link.look():
            self._session.connected(time.monotonic())
            if not before:
                self._session.reconnected(time.monotonic())
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
        if self._moves.leaving:
            return  # a silent broker would read it later
        if request is not None:
            if link.socket.send(request):
                link.look()  # it may have come since the check above
            else:
                self._session.send_failed(time.monotonic())
        if link.probes.due(time.monotonic()):
            # Without a connection, the next one is soon enough.
            link.socket.send(ClockRequest(id=0, sent_ns=time.time_ns()))

    def _receive_all(self, link: BrokerLink) -> None:
        while (received := link.socket.receive()) is not None:
            reply = received.reply
            match reply:
                case None:
                    continue
                case ClockReply():
                    link.probes.answer(
                        reply.sent_ns,
                        reply.received_ns,
                        reply.replied_ns,
                        received.at_ns,
                    )
                case Alive(publishers_clock=clock):
                    self.publishers_clock = clock
                    self._moves.cut_off = reply.cut_off
            for update in self._session.receive(reply, time.monotonic()):
                self._report(update)

    def _report(self, update: SessionUpdate) -> None:
        where = self._moves.shown
        match update:
            case Accepted():
                self._moves.accepted(update)
            case BrokersUpdated(brokers):
                self._moves.learn(brokers)
                return
            case BrokerLost():
                silent = self._session.is_silent(time.monotonic())
                self._moves.lost(update, silent=silent)
            case Postponed(code, detail):
                if self._registration.postponed(RegistrationRefused(code, detail)):
                    _log.warning("the broker at %s: %s; trying again", where, detail)
            case HeartbeatRefused(_, detail):
                _log.warning(
                    "the broker at %s rejected a heartbeat: %s; registering again",
                    *(where, detail),
                )
            case Rejected(code, detail, ended):
                if self._moves.refused(update):
                    self._session.left(time.monotonic())
                    self._registration.postponed(RegistrationRefused(code, detail))
                    return
                self._fail(RegistrationRefused(code, detail, ended=ended), code)
                return
        self._on_update(update)
        if isinstance(update, Accepted):
            self._moves.probes.begin(time.monotonic())
            self._registration.joined(update.reply, self._session.told_change)
        self._registration.notify()

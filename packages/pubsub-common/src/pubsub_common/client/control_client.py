"""A client's connection to the broker, kept by a thread of its own. Shell.

The thread renews the lease whatever the user's thread does, registers again when
the broker wants it, and hands what it learns to the role.
"""

from __future__ import annotations

import contextlib
import logging
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.clock_offset import ClockProbes, Offset
from pubsub_common.client.registration import RegistrationState
from pubsub_common.client.session import (
    Accepted,
    BrokerLost,
    ClientSession,
    Identity,
    Postponed,
    Rejected,
    SessionUpdate,
)
from pubsub_common.errors import (
    HandshakeFailed,
    ProtocolError,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.net.sockets import Waker, enable_keepalive, reconnect
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    ClockOffset,
    ClockRange,
    ClockReply,
    ClockRequest,
    Disconnected,
    Latency,
    Registered,
)
from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
    HandshakeFailure,
    explain,
    probe_reason,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)

_LEAVE_ANSWER_S: Final = 1.0
_MAX_POLL_S: Final = 3600.0
_RECONNECT_MS: Final = 100
_RECONNECT_MAX_MS: Final = 1000
# After a failure that libzmq takes for final.
_RECONNECT_S: Final = 1.0


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

    ``on_event`` is called in the control thread for everything that `session`
    reports. ``service`` is called there too, whenever the thread wakes, for work
    that the role must do beside the user's thread; it returns the seconds after
    which it wants to be called again, or None. ``input_fd`` wakes the thread. ``lost``
    tells how many events of each topic were lost, for heartbeats; ``published`` and
    ``latency`` are as in `ClientSession.tick`.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        identity: Identity,
        on_event: Callable[[SessionUpdate], None],
        *,
        service: Callable[[], float | None] = lambda: None,
        input_fd: int | None = None,
        lost: Callable[[], Mapping[str, int]] = lambda: {},
        keys: ClientKeys | None = None,
        published: Callable[[], Mapping[str, int]] | None = None,
        latency: Callable[[], Latency | None] = lambda: None,
    ) -> None:
        """``keys`` are for a secure broker; without them only one that is not secure
        will do."""
        self.endpoint = endpoint
        self._keys_path = None if keys is None else keys.path or "this client"
        self._on_event = on_event
        self._service = service
        self._watch_fd = input_fd
        self._lost = lost
        self._published, self._latency = published, latency
        self._waker = Waker()
        self._session = ClientSession(identity, time.monotonic())
        # The monotonic clock is for one machine only, and so is loopback.
        shared = identity.clock != "realtime" or endpoint.startswith("tcp://127.")
        self._probes = ClockProbes(shared=shared)
        self._publishers_clock: ClockRange | None = None
        self._registration = RegistrationState(endpoint, identity)
        self._leaving: Mapping[str, int] | None = None
        self._connected = False
        self._nonsense = 0  # messages that were no replies
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        enable_keepalive(self._socket)
        # Without a connection a request must not queue up: an old registration
        # that reaches a new broker helps nobody.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self._socket.setsockopt(zmq.MAXMSGSIZE, 1 << 26)
        if keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(self._socket, keys.pair, keys.broker)
        self._handshakes = ClientHandshakeMonitor(self._socket)
        self._reconnect_at: float | None = None
        self._thread = threading.Thread(
            target=self._run, name="pubsub-control", daemon=True
        )

    @property
    def error(self) -> PubSubError | None:
        """Why this client is finished; None while it is not."""
        return self._registration.error

    @property
    def lease_s(self) -> float:
        return self._session.lease_s

    def clock_offset(self) -> Offset | None:
        """What is known of the broker's clock against ours; None: nothing yet."""
        return self._probes.offset(time.time_ns())

    def publishers_clock(self) -> ClockRange | None:
        """What the broker has told of publishers' clocks; None: nothing yet."""
        return self._publishers_clock

    def start(self) -> None:
        """Connect and begin to register."""
        self._socket.connect(self.endpoint)
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
        """Have the control thread call ``service`` soon."""
        self._waker.wake()

    def close(self, next_sequences: Mapping[str, int]) -> None:
        """Take leave of the broker (waits at most about two seconds for its answers) and
        end the thread."""
        self._leaving = next_sequences
        self._waker.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._handshakes.close()
        self._socket.close(linger=0)
        self._waker.close()

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # of a callback, or ours: not to be passed over
            _log.exception("the control thread of this client ends")
            self._fail(
                PubSubError(f"the connection to the broker ended: {error!r}"),
                "internal",
            )

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._socket.FD, select.POLLIN)
        poller.register(self._waker.fd, select.POLLIN)
        poller.register(self._handshakes.fd, select.POLLIN)
        if self._watch_fd is not None:
            poller.register(self._watch_fd, select.POLLIN)
        while self._leaving is None:
            self._look_at_handshakes()
            self._tick()
            self._receive_all()
            again_s = self._service()
            poller.poll(self._timeout_ms(again_s))
            self._waker.clear()
        if self._watch_fd is not None:
            poller.unregister(self._watch_fd)  # nobody serves it any more
        self._take_leave(poller)

    def _timeout_ms(self, again_s: float | None) -> float | None:
        waits = [] if again_s is None else [again_s]
        for deadline in (
            self._session.next_deadline(),
            self._probes.next_deadline(),
            self._reconnect_at,
        ):
            if deadline is not None:
                waits.append(deadline - time.monotonic())
        # A broker may name any lease, but poll takes only so many milliseconds.
        return min(max(0.0, min(waits)), _MAX_POLL_S) * 1000 + 0.5 if waits else None

    def _look_at_handshakes(self) -> None:
        for failure in self._handshakes.failures():
            self._on_failed_handshake(failure)
        if self._reconnect_at is not None and time.monotonic() >= self._reconnect_at:
            self._reconnect_at = None
            reconnect(self._socket, self.endpoint)

    def _on_failed_handshake(self, failure: HandshakeFailure) -> None:
        where = self.endpoint.removeprefix("tcp://")
        failure = probe_reason(failure, where, with_keys=self._keys_path is not None)
        text = explain(failure, where, self._keys_path)
        certain = (
            failure.why is FailureReason.MISMATCH and not self._registration.registered
        )
        if failure.why is FailureReason.TURNED_AWAY or certain:
            self._session.finish()
            self._fail(HandshakeFailed(text), "handshake")
            return
        if text != self._registration.hint:
            self._registration.hint = text
            _log.warning("%s; still trying", text)
        if not failure.retrying:
            self._reconnect_at = time.monotonic() + _RECONNECT_S

    def _fail(self, error: PubSubError, code: str) -> None:
        """This client is finished."""
        # Before the role hears of it, so that whom it wakes finds the reason.
        self._registration.error = error
        self._on_event(Rejected(code, str(error)))
        self._registration.notify()

    def _tick(self) -> None:
        connected = bool(int(self._socket.get(zmq.EVENTS)) & zmq.POLLOUT)
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
        request, events = self._session.tick(
            time.monotonic(), clock, self._lost(), self._published, self._latency
        )
        for event in events:
            self._publish(event)
        if request is not None:
            try:
                self._socket.send(messages.encode(request), zmq.NOBLOCK)
            except zmq.Again:
                self._session.unsent(time.monotonic())
            else:
                self._connected = True  # it may have come since the look above
        if self._probes.due(time.monotonic()):
            with contextlib.suppress(zmq.Again):  # without a connection, the next one
                probe = ClockRequest(id=0, sent_ns=time.time_ns())
                self._socket.send(messages.encode(probe), zmq.NOBLOCK)

    def _receive_all(self) -> None:
        while True:
            try:
                data = self._socket.recv(zmq.NOBLOCK)
                returned_ns = time.time_ns()
            except zmq.Again:
                return
            try:
                reply = messages.decode_reply(data)
            except ProtocolError as error:
                self._nonsense += 1
                if self._nonsense == 1:
                    _log.warning(
                        "%s sent what is no reply (only said once): %s",
                        self.endpoint,
                        error,
                    )
                continue
            match reply:
                case ClockReply():
                    self._probes.answer(
                        reply.sent_ns, reply.received_ns, reply.replied_ns, returned_ns
                    )
                case Alive(publishers_clock=clock):
                    self._publishers_clock = clock
            for event in self._session.receive(reply, time.monotonic()):
                self._publish(event)

    def _publish(self, event: SessionUpdate) -> None:
        match event:
            case Accepted(again=True):
                _log.info("registered again with the broker at %s", self.endpoint)
            case BrokerLost(farewell):
                why = "said goodbye" if farewell else "does not answer"
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
        self._on_event(event)
        if isinstance(event, Accepted):
            self._probes.begin(time.monotonic())
            self._registration.joined(event.reply)
        self._registration.notify()

    def _take_leave(self, poller: select.poll) -> None:
        # Whom it is registering at this moment, it would keep for a lease.
        if self._session.asking and int(self._socket.get(zmq.EVENTS)) & zmq.POLLOUT:
            for reply in self._replies(poller):
                self._session.receive(reply, time.monotonic())
                if not self._session.asking:
                    break
        farewell = self._session.leave(self._leaving or {})
        if farewell is None:
            return
        try:
            self._socket.send(messages.encode(farewell), zmq.NOBLOCK)
        except zmq.Again:
            return
        for reply in self._replies(poller):
            if isinstance(reply, Disconnected) and reply.id == farewell.id:
                return

    def _replies(self, poller: select.poll) -> Iterator[messages.Reply]:
        """What the broker sends while this client takes leave, but not for long."""
        deadline = time.monotonic() + _LEAVE_ANSWER_S
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                reply = messages.decode_reply(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                poller.poll(left_s * 1000 + 0.5)
                self._waker.clear()
            except ProtocolError:
                continue
            else:
                yield reply

"""What a publisher consists of, for threads and for asyncio alike: sockets, the control
connection, their set-up and their end.

The control thread and the finalizer know the runtime only, so that the public object, which
its user holds, can be dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.client.control_client import ControlClient, client_keys
from pubsub_common.client.session import HeartbeatInputs, Identity
from pubsub_common.errors import CannotListen, NotReady, PubSubError
from pubsub_common.life_cycle import LifeCycle
from pubsub_common.measurement.clocks import clock_ns
from pubsub_common.net import addresses
from pubsub_common.net.changed import Changed
from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.net.detached import start_awaited
from pubsub_common.net.sockets import bind_first_free, endpoint, wait_until_sent
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_publisher.core import (
    AcceptClients,
    Effect,
    InvalidSubscription,
    PublisherCore,
    ReadyChanged,
    RefuseEvents,
)
from pubsub_publisher.payloads import bytes_payload, generated_payload
from pubsub_publisher.sending.event_socket import STOPPED, EventSocket
from pubsub_publisher.sending.stall_log import StallLog
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_set import TopicSet

if TYPE_CHECKING:
    from pubsub_common.client.session_updates import SessionUpdate
    from pubsub_publisher.config import PublisherConfig
    from pubsub_publisher.security.authenticator import Authenticator
    from pubsub_publisher.topics.topic_state import TopicState

_log = logging.getLogger(__name__)

# A line of the log names no more topics, or subscribers, than this.
_NAMED: Final = 20


class PublisherRuntime:
    """A publisher without the methods that its users call. `address`, `session` and `bind_port` are
    known when it is open; `senders` has what sends the events of each topic."""

    def __init__(self, config: PublisherConfig, *, waiting: bool) -> None:
        """``waiting``: under the policy "block", senders wait for room.

        Raises:
            ConfigError: an option cannot work.
        """
        config.validate()
        self.config = config
        self.life = LifeCycle("publisher", self._cut_off)
        self.topics = TopicSet(
            config.topics,
            config.strengths,
            lambda: (
                History(config.history, config.history_bytes)
                if config.history
                else None
            ),
        )
        self.core = PublisherCore(self.topics.states)
        self.now_ns = clock_ns(config.clock)
        self.senders: dict[str, Callable[[bytes], int]] = {}
        self.bind_port = config.bind_port
        self.stopping = False
        self._waiting = waiting
        self._broker_ip = ""
        self._keys = client_keys(config.keys)
        # Told when other subscribers than before are ready, and when waits are to end.
        self._changed = Changed()
        self._stall_log = StallLog()
        # Held while this is opened, so that it is not closed in the midst of that.
        self._opening = threading.Lock()
        # Held while topics are changed.
        self._changing = threading.Lock()
        # Made by `open`.
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._events: EventSocket | None = None
        self._authenticator: Authenticator | None = None
        self._control: ControlClient | None = None

    # Set-up and end

    def open(
        self,
        bind: Callable[[], None] | None = None,
        register: Callable[[], None] | None = None,
    ) -> None:
        """Bind the data port, register with the broker, and wait for the subscribers that
        are there. ``bind`` and ``register`` do so in place of the methods of these names.

        Raises:
            PubSubError: this was opened before, or the broker's name is not known.
            CannotListen: no port is free, or the address is not this host's.
            BrokerUnreachable: no broker answered in time.
            HandshakeFailed: the broker and this publisher do not agree on keys.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the end of this.
        """
        self.life.begin()
        try:
            with self._opening:
                self._open_socket()
                self._broker_ip = addresses.resolve(self.config.broker()[0])
                (bind or self.bind)()
                (register or self.register)()
                self._make_senders()
                self.life.configured()
            self._wait_attached()
        except BaseException:
            self.close()
            raise

    def bind(self) -> None:
        """Bind the data socket to the port of the options (0: any free port), or the
        first free port after it.

        Raises:
            CannotListen: no port is free, or the address is not this host's.
            PubSubError: this is not being opened.
        """
        events, host = self._being_opened(), self.host_address()
        try:
            port = bind_first_free(events.socket, host, self.bind_port)
        except zmq.ZMQError as error:
            raise CannotListen(f"cannot listen on {host}: {error.strerror}") from error
        if port is None:
            raise CannotListen(f"no free port on {host} from {self.bind_port} on")
        if self.bind_port not in (0, port):
            _log.info("port %d is in use, taking %d", self.bind_port, port)
        self.bind_port = port
        self.core.address = f"{host}:{port}"

    def register(self) -> None:
        """Register with the broker, and stay registered until `close`.

        Raises:
            BrokerUnreachable: no broker answered in time.
            RegistrationRefused: the broker will not have this publisher.
            NotReady: `stop` was called before the broker answered.
            PubSubError: this is not being opened.
        """
        events = self._being_opened()
        assert self._context is not None
        self._control = ControlClient(
            self._context,
            endpoint(self._broker_ip, self.config.broker()[1]),
            self._identity(),
            self._on_session_update,
            on_wake=self._serve,
            input_fd=events.fd,
            keys=self._keys,
            heartbeat=HeartbeatInputs(published=self.topics.published),
        )
        events.wake = self._control.wake
        self._control.start()
        self._control.wait_registered(
            self.config.connect_timeout_s, stopped=lambda: self.stopping
        )
        _log.info("%s publishes %s", self.address, _list(self.topics.names))

    def host_address(self) -> str:
        """This host's IP address as the broker and subscribers reach it."""
        return self.config.address or addresses.host_address(
            self._broker_ip or addresses.resolve(self.config.broker()[0])
        )

    def stop(self) -> None:
        """End waits soon. For any thread and for signal handlers."""
        self.stopping = True
        if self._events is not None and self.config.overflow == "block":
            # So that no thread begins to wait for room.
            self._events.refuse_events()
        self._changed.notify()

    def disconnect(self) -> None:
        """`close`, from wherever it is called. Where the thread that would be waited for is
        this one (the control thread, or one that has interrupted its own use of the socket,
        in a signal handler), another one does it, for which the program waits at its end."""
        events, control = self._events, self._control
        if not self.life.forked and (
            (control is not None and control.own_thread)
            or (events is not None and events.occupied())
        ):
            start_awaited(self.close, "pubsub-close-publisher")
        else:
            run_uninterrupted(self.close)

    def close(self) -> None:
        """Tell the broker how far each topic went, and let what was published go out within
        the linger time. Again, and in a forked child: does nothing."""
        if not self.life.close():
            return
        self.stopping = True
        self._changed.notify()
        with self._opening:
            self._end()

    def _end(self) -> None:
        until = time.monotonic() + self.config.linger_s
        self.senders.clear()
        events = self._events
        if events is None or self._context is None:
            return
        events.flush_all(self.config.linger_s)
        if self._control is not None:
            self._control.close(self.topics.next_numbers())
            if self.core.session >= 0:
                events.serve_last_requests(until - time.monotonic())
        unsent = events.flush_all(0.0)
        if unsent:
            _log.warning(
                "%d events were not sent within %g s: a subscriber does not read",
                unsent,
                self.config.linger_s,
            )
        wait_until_sent(self.bind_port, until - time.monotonic())
        events.close(max(0.0, until - time.monotonic()))
        terminate_context(self._context, until - time.monotonic())

    # State

    @property
    def address(self) -> str:
        """``IP:port`` where subscribers connect; empty before `open`."""
        return self.core.address

    @property
    def session(self) -> int:
        """The session that the broker has given us; -1 before."""
        return self.core.session

    @property
    def events(self) -> EventSocket:
        """The data socket.

        Raises:
            PubSubError: this is not open, or the broker refuses it.
        """
        self.check_usable()
        assert self._events is not None
        return self._events

    @property
    def subscriber_count(self) -> int:
        """How many subscribers are ready at present; at the end, how many were."""
        return len(self.core.ready.sessions)

    @property
    def unsubscribed_topics(self) -> tuple[str, ...]:
        """The topics that nobody has subscribed to so far."""
        subscribed = self.core.subscribed
        return tuple(name for name in self.topics.names if name not in subscribed)

    def check_not_refused(self) -> None:
        """Raises:
        PubSubError: the broker refuses this publisher.
        """
        if self._control is not None and self._control.error is not None:
            raise self._control.error

    def check_usable(self) -> None:
        """Raises:
        PubSubError: this is not open, or the broker refuses it.
        """
        if not self.life.forked:
            self.check_not_refused()
        self.life.check_usable()

    def check_may_wait(self) -> None:
        """Raises:
        PubSubError: the caller has interrupted, in a signal handler, what it waits for.
        """
        if self._events is not None and self._events.occupied():
            raise PubSubError("a signal handler cannot wait for what it interrupts")

    def ended(self) -> bool:
        """Whether `stop` was called.

        Raises:
            PubSubError: it was not, but the broker refuses this publisher.
        """
        if not self.stopping:
            self.check_not_refused()
        return self.stopping

    def describe(self) -> str:
        """What `repr` of the public object says."""
        host, port = self.config.broker()
        return (
            f"<Publisher topics={_list(self.topics.names)} broker={host}:{port} "
            f"state={self.life.state}>"
        )

    # Publishing

    def checked(
        self, topic: str, payload: object
    ) -> tuple[Callable[[bytes], int], bytes]:
        """What sends events of ``topic``, and what it sends of ``payload``.

        Raises:
            ConfigError: the topic is not one of ours, or the payload is something else.
            PubSubError: this is not open, or the broker refuses it.
        """
        self.check_usable()
        send = self.senders.get(topic)
        if send is None:
            self.topics.raise_unknown(topic)
        return send, bytes_payload(payload, text=True)

    def send_in_turn(self, topic: str, stamp_ns: int, payload: bytes) -> None:
        """An event was not sent, for the reason that ``stamp_ns`` tells
        (`EventSocket.sender`): wait for room, if that is it.

        Raises:
            PubSubError: this was stopped, or closed, or the broker refuses it.
        """
        if stamp_ns and self._events is not None:
            state = self.topics.states[topic]
            if self._events.send_in_turn(state, [(-stamp_ns, payload)]):
                return
        self.check_not_refused()
        raise PubSubError(STOPPED)

    def generated(self, number: int) -> tuple[TopicState, bytes]:
        """Topic and payload of the generated event of this number."""
        names = self.topics.names
        payload = generated_payload(number, self.address, self.config.payload_bytes)
        return self.topics.states[names[number % len(names)]], payload

    # Topics

    def add_topics(
        self, topics: Iterable[str], strengths: Mapping[str, int] | int | None
    ) -> None:
        """As `Publisher.add_topics`."""
        self._check_alive()
        with self._changing:
            self.topics.add(topics, strengths)
            self._make_senders()
            told = self._tell_topics()
        told()

    def remove_topics(self, topics: Iterable[str]) -> None:
        """As `Publisher.remove_topics`."""
        self._check_alive()
        with self._changing:
            names = self.topics.excluding(topics)
            for name in set(self.topics.names).difference(names):
                self.senders.pop(name, None)
                if self._events is not None:
                    self._events.flush(self.topics.states[name])
            self.topics.retain(names)
            told = self._tell_topics()
        told()

    # Waiting for subscribers

    def wait_for_subscribers(self, count: int, timeout_s: float | None) -> None:
        """As `Publisher.wait_for_subscribers`."""
        self.check_usable()
        self.check_may_wait()
        sessions = self.core.ready.sessions
        self._changed.wait_for(
            lambda: len(sessions) >= count or self.ended(), timeout_s
        )
        if len(sessions) < count:
            raise NotReady(f"{len(sessions)} of {count} subscribers are ready")

    # Inside

    def _cut_off(self) -> None:
        """In a forked child: events no longer take the short way."""
        self.senders.clear()

    def _open_socket(self) -> None:
        self._context = new_context()
        self._events = EventSocket(
            self._context,
            self.topics.states,
            self.core,
            self.now_ns,
            self.config.messages_queued,
            blocking=self.config.overflow == "block",
            stopped=lambda: self.stopping,
        )
        if self._keys is not None:
            from pubsub_publisher.security.authenticator import Authenticator

            self._authenticator = Authenticator(self._context, self._events, self._keys)

    def _being_opened(self) -> EventSocket:
        """Raises:
        PubSubError: this is not being opened.
        """
        if self.life.state == "configured" and not self.life.forked:
            raise PubSubError("this publisher has been configured already")
        if self.life.state != "configuring" or self._events is None:
            self.life.check_usable()
            raise PubSubError("this publisher is not being configured")
        return self._events

    def _check_alive(self) -> None:
        """Raises:
        PubSubError: this was closed, or made in another process.
        """
        if self.life.forked or self.life.state == "closed":
            self.life.check_usable()

    def _make_senders(self) -> None:
        if self._events is None:
            return
        for name in self.topics.names:
            if name not in self.senders:
                self.senders[name] = self._events.sender(
                    self.topics.states[name], waiting=self._waiting
                )

    def _identity(self) -> Identity:
        return Identity(
            "publisher",
            self.topics.names,
            self.address,
            self.config.clock,
            strengths=self.topics.strengths,
        )

    def _tell_topics(self) -> Callable[[], None]:
        """Tell the broker our topics; what waits until it knows."""
        control = self._control
        if control is None:
            return lambda: None
        number = control.submit(self._identity())
        return lambda: control.wait_told(number, self.config.connect_timeout_s)

    def _wait_attached(self) -> None:
        """Wait for the subscribers that the broker named, as long as the options say.

        Raises:
            NotReady: `stop` was called meanwhile.
        """
        missing = list(self.core.listeners)
        ready = self.core.ready.sessions

        def attached() -> bool:
            while missing and missing[-1] in ready:
                missing.pop()
            return not missing or self.ended()

        if not missing or not self.config.attach_timeout_s:
            return
        if not self._changed.wait_for(attached, self.config.attach_timeout_s):
            absent = [f"{each:x}" for each in missing if each not in ready]
            _log.warning(
                "not connected within %g s: the subscribers with the sessions %s",
                self.config.attach_timeout_s,
                _list(absent),
            )
        if self.stopping:
            raise NotReady("stopped before the subscribers were connected")

    # In the control thread

    def _serve(self) -> float | None:
        """Serve the data socket, and log a stall."""
        events = self._events
        assert events is not None
        effects: list[Effect] = []
        again_s = events.serve(effects)
        self._perform(effects)
        if not events.waiting:
            return again_s
        published = sum(self.topics.published().values())
        check_s = self._stall_log.check(published, self.bind_port, time.monotonic())
        return check_s if again_s is None else min(again_s, check_s)

    def _on_session_update(self, update: SessionUpdate) -> None:
        self._perform(self.core.update(update))

    def _perform(self, effects: Iterable[Effect]) -> None:
        changed = False
        for effect in effects:
            match effect:
                case ReadyChanged():
                    changed = True
                case AcceptClients(vouched):
                    if self._authenticator is not None:
                        self._authenticator.update(vouched)
                case RefuseEvents():
                    assert self._events is not None
                    self._events.refuse_events()
                    changed = True
                case InvalidSubscription():
                    _log.warning("ignoring invalid subscription message (logged once)")
        if changed:
            self._changed.notify()


def _list(names: Iterable[str]) -> str:
    """The names in a line that is not too long."""
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more

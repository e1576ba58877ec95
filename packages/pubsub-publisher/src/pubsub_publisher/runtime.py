"""The parts of a publisher, for threads and for asyncio: sockets, the control connection, their
set-up and their end.

The control thread and the finalizer refer to the runtime only, so that the public object can
be garbage collected.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import zmq

from pubsub_common.client.broker_place import (
    BrokerPlaces,
    current_broker,
    own_host,
)
from pubsub_common.client.control_client import ControlClient, client_keys
from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.own_name import own_name
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.life_cycle import LifeCycle
from pubsub_common.measurement.clocks import clock_ns
from pubsub_common.net.contexts import new_context
from pubsub_common.net.detached import start_awaited
from pubsub_common.net.open_files import check_open_files
from pubsub_common.protocol.endpoints import join
from pubsub_common.shared_memory.place import place_for
from pubsub_common.text.name_list import name_list
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_publisher.core import PublisherCore
from pubsub_publisher.life.broker_lookup import look_up_brokers
from pubsub_publisher.life.closing import close_down
from pubsub_publisher.life.control_work import ControlWork
from pubsub_publisher.life.data_port import FILES, bound_address, listen
from pubsub_publisher.life.subscriber_waits import SubscriberWaits
from pubsub_publisher.sending.event_socket import EventSocket
from pubsub_publisher.subscribers.local_subscribers import LocalSubscribers
from pubsub_publisher.topics.history import histories
from pubsub_publisher.topics.topic_set import TopicSet

if TYPE_CHECKING:
    from pubsub_publisher.config import PublisherConfig
    from pubsub_publisher.security.authenticator import Authenticator

_log = logging.getLogger(__name__)


class PublisherRuntime:
    """A publisher without its public methods. `senders` has a function for each topic that
    sends its events; `core` has the address and the session."""

    def __init__(self, config: PublisherConfig, *, waiting: bool) -> None:
        """``waiting``: with ``overflow="block"``, senders wait for room.

        Raises:
            ConfigError: An option is not valid.
        """
        config.validate()
        self.config = config
        self.name = own_name() if config.name is None else config.name
        self.topics = TopicSet(
            config.topics,
            config.strengths,
            histories(config.history, config.history_bytes, config.history_total),
        )
        self.core = PublisherCore(self.topics.states)
        self._place = place_for(config.shared_memory, secure=config.keys is not None)
        if self._place is not None:
            self.core.local = LocalSubscribers()
        self.now_ns = clock_ns(config.clock)
        self.senders: dict[str, Callable[[bytes], int]] = {}
        self.bind_port = config.bind_port
        self.stopping = False
        self._waiting = waiting
        self._brokers: BrokerPlaces | None = None  # found by `open`
        self._keys = client_keys(config.keys)
        self._waits = SubscriberWaits(self.core, self.ended)
        # Held while this is opened, so that it is not closed meanwhile.
        self._opening = threading.Lock()
        # Held while topics are changed.
        self.changing = threading.Lock()
        # Made by `open`.
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._events: EventSocket | None = None
        self._authenticator: Authenticator | None = None
        self._control: ControlClient | None = None
        # The last one: a fork calls `_cut_off` from now on.
        self.life = LifeCycle("publisher", self._cut_off)

    # Set-up and end

    def open(
        self,
        bind: Callable[[], None] | None = None,
        register: Callable[[], None] | None = None,
    ) -> None:
        """As `Publisher.configure`. ``bind`` and ``register`` replace the methods of these
        names."""
        self.life.begin()
        try:
            with self._opening:
                self._open_socket()
                self._brokers = look_up_brokers(self.config, lambda: self.stopping)
                (bind or self.bind)()
                (register or self.register)()
                self.open_topics(self.topics.names)
                self.life.configured()
            self.wait_attached()
            if self.stopping:
                raise NotReady("stopped before the subscribers were connected")
        except BaseException:
            self.close()
            raise

    def bind(self) -> None:
        """As `Publisher.setup_port_binding`."""
        events, host = self._being_opened(), self.host_address()
        self.bind_port, told = listen(events, self.config, host, self._brokers)
        self.core.address = join(host, told)

    def register(self) -> None:
        """As `Publisher.register_pub`."""
        events = self._being_opened()
        assert self._context is not None
        assert self._brokers is not None
        work = ControlWork(
            self.core, events, self._authenticator, self.topics, self._waits.notify
        )
        self._control = ControlClient(
            self._context,
            self._brokers,
            self._identity(),
            work.update,
            on_wake=work.serve,
            input_fd=events.fd,
            keys=self._keys,
            heartbeat=HeartbeatInputs(published=self.topics.published),
        )
        events.wake = self._control.wake
        if events.port_guard is not None:
            events.port_guard.ask = self._control.renew
        self._control.start()
        self._control.wait_registered(
            self.config.connect_timeout_s, stopped=lambda: self.stopping
        )
        _log.info("%s publishes %s", self.core.address, name_list(self.topics.names))

    def host_address(self) -> str:
        """This host as others reach it: its IP address, or the name that was given."""
        first, _ = self.config.brokers()[0]
        given = self.config.host or bound_address(self.config)
        return own_host(given, self._brokers, first)

    @property
    def broker(self) -> str:
        """The broker that this publisher is connected to, as ``host:port``; before that, the
        first one that was given."""
        return current_broker(self._brokers, self.config.brokers())

    def stop(self) -> None:
        """Make all waits end soon. For any thread and for signal handlers."""
        self.stopping = True
        if self._events is not None and self.config.overflow == "block":
            # No thread begins to wait for room any more.
            self._events.refuse_events()
        self._waits.notify()

    def disconnect(self) -> None:
        """`close`, for any caller. The control thread, and a signal handler that interrupts
        its thread's use of the socket, cannot wait: there another thread closes, and the
        program waits for it at its end."""
        events, control = self._events, self._control
        if self.life.forked or self.life.state == "made":
            return
        if (control is not None and control.own_thread) or (
            events is not None and events.occupied()
        ):
            start_awaited(self.close, "pubsub-close-publisher")
        else:
            run_uninterrupted(self.close)

    def close(self) -> None:
        """Send the queued events within the linger time, and tell the broker the number after
        the last event of each topic. Again, and in a forked child, this does nothing."""
        if not self.life.close():
            return
        self.stopping = True
        self._waits.notify()
        with self._opening:
            self.senders.clear()
            if self._context is not None and self._events is not None:
                close_down(
                    self._context,
                    self._events,
                    self._control,
                    self.topics.next_numbers,
                    self.config.linger_s,
                )

    # State

    @property
    def events(self) -> EventSocket:
        """The data socket.

        Raises:
            PubSubError: This is not open, or the broker refused it.
        """
        self.check_usable()
        assert self._events is not None
        return self._events

    def check_not_refused(self) -> None:
        """Raises:
        PubSubError: The broker refused this publisher.
        """
        if self._control is not None and self._control.error is not None:
            raise self._control.error

    def check_usable(self) -> None:
        """Raises:
        PubSubError: This is not open, or the broker refused it.
        """
        if not self.life.forked:
            self.check_not_refused()
        self.life.check_usable()

    def check_may_wait(self) -> None:
        """Raises:
        PubSubError: The caller is a signal handler that interrupts the thread for
            which it would wait.
        """
        if self._events is not None:
            self._events.check_free()

    def ended(self) -> bool:
        """Whether `stop` was called.

        Raises:
            PubSubError: It was not, but the broker refused this publisher.
        """
        if not self.stopping:
            self.check_not_refused()
        return self.stopping

    # Topics

    def open_topics(self, names: Iterable[str]) -> None:
        """Let these topics take events, if they were not removed. The caller holds `changing`,
        or opens this."""
        assert self._events is not None
        for name in names:
            self.topics.open(name)
            if name in self.topics.opened and name not in self.senders:
                self.senders[name] = self._events.sender(
                    self.topics.states[name], waiting=self._waiting
                )

    def tell_topics(self) -> Callable[[], None]:
        """Tell the broker the topics; returns a function that waits until it knows. The
        caller holds `changing`."""
        control = self._control
        if control is None:
            return lambda: None
        number = control.submit(self._identity())
        return lambda: control.wait_told(
            number, self.config.connect_timeout_s, stopped=lambda: self.stopping
        )

    # Waiting for subscribers

    def wait_attached(self) -> None:
        """Wait for the subscribers that the broker named, for ``attach_timeout_s`` seconds at
        most."""
        self._waits.wait_attached(self.config.attach_timeout_s)

    def wait_for_subscribers(self, count: int, timeout_s: float | None) -> None:
        """As `Publisher.wait_for_subscribers`."""
        self.check_usable()
        self.check_may_wait()
        self._waits.wait_for(count, timeout_s)

    def shared_memory_events(self) -> int:
        """As `Publisher.shared_memory_events`."""
        lane = None if self._events is None else self._events.lane
        return 0 if lane is None else lane.sent

    # Inside

    def _cut_off(self) -> None:
        """In a forked child: events no longer take the fast path."""
        self.senders.clear()
        if self._events is not None and self._events.lane is not None:
            self._events.lane.cut_off()

    def _open_socket(self) -> None:
        check_open_files("a publisher", FILES)
        self._context = new_context()
        self._events = EventSocket(
            self._context,
            self.topics.states,
            self.core,
            self.now_ns,
            self.config.bounds,
            blocking=self.config.overflow == "block",
            stopped=lambda: self.stopping,
        )
        if self._keys is not None:
            from pubsub_publisher.security.authenticator import Authenticator

            self._authenticator = Authenticator(self._context, self._events, self._keys)
            if self._events.guard is not None:
                self._events.guard.shares_memory = self._place is not None

    def _being_opened(self) -> EventSocket:
        """Raises:
        PubSubError: This is not being opened.
        """
        if self.life.state == "configured" and not self.life.forked:
            raise PubSubError("this publisher has been configured already")
        if self.life.state != "configuring" or self._events is None:
            self.life.check_usable()
            raise PubSubError("this publisher is not being configured")
        return self._events

    def _identity(self) -> Identity:
        return Identity(
            "publisher",
            self.topics.names,
            self.core.address,
            self.config.clock,
            strengths=self.topics.strengths,
            name=self.name,
            place=self._place,
        )

"""The parts of a subscriber, from set-up to end: sockets, control client, core.

Both shells, `pubsub_subscriber.subscriber` for threads and `pubsub_subscriber.aio`, use it.
The control thread and the finalizer refer to it, not to the user's object.
"""

from __future__ import annotations

import contextlib
import logging
import threading

import zmq

from pubsub_common.client.broker_place import (
    BrokerPlaces,
    current_broker,
    find_brokers,
    own_host,
)
from pubsub_common.client.control_client import ControlClient, client_keys
from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.own_name import own_name
from pubsub_common.client.session_updates import (
    Accepted,
    PublishersUpdated,
    Rejected,
    SessionUpdate,
)
from pubsub_common.earliest import earliest
from pubsub_common.errors import NotReady
from pubsub_common.file_claim import FileClaim
from pubsub_common.files import check_writable
from pubsub_common.life_cycle import LifeCycle
from pubsub_common.measurement.clocks import clock_ns
from pubsub_common.net.contexts import terminate_context
from pubsub_common.net.detached import start_awaited
from pubsub_common.protocol.messages import Model
from pubsub_common.protocol.sequence import Counts
from pubsub_common.protocol.wildcards import asterisk_warning, validate_subscriptions
from pubsub_common.shared_memory.place import place_for
from pubsub_common.text.name_list import name_list
from pubsub_common.uninterrupted import run_uninterrupted
from pubsub_subscriber.config import SubscriberConfig
from pubsub_subscriber.connections.factory import ConnectionFactory
from pubsub_subscriber.connections.local_lane import LocalLane
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.ready_wait import wait_until_ready
from pubsub_subscriber.receiving.performer import Performer
from pubsub_subscriber.receiving.receiver import Receiver
from pubsub_subscriber.recording import Recording

_log = logging.getLogger(__name__)


class SubscriberRuntime:
    """One subscriber. `life` is its state."""

    def __init__(self, config: SubscriberConfig) -> None:
        """Raises:
        ConfigError: An option is not valid.
        """
        config.validate()
        self.config = config
        self.name = own_name() if config.name is None else config.name
        self.topics = validate_subscriptions(config.topics)
        self._claim: FileClaim | None = None
        if config.filename is not None:
            check_writable(config.filename)
            self._claim = FileClaim(config.filename, "subscriber")
            self._claim.check()
        self._keys = client_keys(config.keys)
        warning = asterisk_warning(self.topics)
        if warning is not None:
            _log.warning("%s", warning)
        self.core = SubscriberCore(
            self.topics,
            recover_timeout_s=config.recover_timeout_s if config.recovers else None,
            max_held=config.queue_limit,
            held_bytes=config.recover_bytes,
            from_start=config.start == "history",
        )
        sockets = SocketSet()
        place = place_for(config.shared_memory, secure=config.keys is not None)
        self._lane = None if place is None else LocalLane(place, views=config.views)
        self._factory = ConnectionFactory(
            self.core,
            sockets,
            self._keys,
            config.bounds,
            positions=config.recovers,
            lane=self._lane,
        )
        self.performer = Performer(
            self.core,
            sockets,
            self._factory.connections,
            on_gap=config.on_gap,
            on_publisher=config.on_publisher,
        )
        self.receiver = Receiver(
            self.performer,
            clock_ns(config.clock),
            config.event_limit,
            self.check_usable,
            views=config.views,
        )
        self.recording = Recording(config, self.receiver)
        self.life = LifeCycle("subscriber", self._cut_off)
        # One thread at a time opens or closes.
        self._turn = threading.Lock()
        self._opening_thread: int | None = None
        self._control_thread: int | None = None
        self._aborting = False
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._brokers: BrokerPlaces | None = None  # found by `open`
        self.control: ControlClient | None = None

    # Set-up and end

    def open(self) -> None:
        """Register with the broker, connect, and wait for the publishers. After an error
        everything is closed again. Not for the main thread, where signal handlers could
        interrupt it."""
        with self._turn:
            self.life.begin()
            self._opening_thread = threading.get_ident()
            try:
                self._set_up()
                self._attach()
                self.life.configured()
                self._opening_thread = None
                self.check_usable()
            except BaseException:
                self._opening_thread = None
                # Else another thread has closed it, and waits for the lock.
                if self.life.close():
                    self._take_down()
                raise

    def abort(self) -> None:
        """Make `open` fail soon, if it has not ended. For any thread."""
        if self.life.state == "configuring":
            self._hurry()

    def disconnect(self) -> None:
        """Close it. For any thread, signal handlers, callbacks and finalizers. A caller that
        would wait for itself has another thread do it."""
        if self.life.state == "made":
            return
        here = threading.get_ident()
        if here in (self._control_thread, self._opening_thread) or (
            self.receiver.is_inside()
        ):
            if self.life.close():
                self._hurry()
                start_awaited(self._finish, "pubsub-close-subscriber")
        else:
            run_uninterrupted(self.close)

    def close(self) -> None:
        """Close it in this thread, which must not be interrupted. Again, this does nothing."""
        self._hurry()  # before it is closed, so that running receptions end
        if self.life.close():
            self._finish()

    @property
    def centralized(self) -> bool | None:
        """Whether the broker forwards events; None while that is not known."""
        model = self.core.model
        return self.config.centralized if model is None else model == "centralized"

    def host_address(self) -> str:
        """This host as the broker knows it: its IP address, or the name that was given."""
        first, _ = self.config.brokers()[0]
        return own_host(self.config.host, self._brokers, first)

    @property
    def broker(self) -> str:
        """The broker that this subscriber is connected to, as ``host:port``; before that, the
        first one that was given."""
        return current_broker(self._brokers, self.config.brokers())

    def check_usable(self) -> None:
        """Raises:
        PubSubError: It is not connected, or the broker refused it.
        """
        if self.control is not None and self.control.error is not None:
            raise self.control.error
        if self._opening_thread != threading.get_ident():
            self.life.check_usable()

    def _set_up(self) -> None:
        if self._claim is not None:
            self._claim.take()
        self.receiver.open(self._call_control)
        self._brokers = brokers = find_brokers(
            self.config.brokers(),
            self.config.connect_timeout_s,
            stopped=self.stopped,
        )
        self._context = self._factory.open(
            lambda: brokers.host or "", centralized=self.config.centralized
        )
        model: Model | None = None
        if self.config.centralized is not None:
            model = "centralized" if self.config.centralized else "decentralized"
        self.control = ControlClient(
            self._context,
            brokers,
            Identity(
                "subscriber",
                self.topics,
                self.host_address(),
                self.config.clock,
                model,
                name=self.name,
            ),
            self._on_session_update,
            on_wake=self._check_connections,
            keys=self._keys,
            heartbeat=HeartbeatInputs(
                lost=self.performer.lost, latency=self.receiver.latency
            ),
        )
        self._factory.places.lookups.answered = self.control.wake
        if self._lane is not None:
            self._lane.wake = self.control.wake
        self.control.start()
        self.control.wait_registered(
            self.config.connect_timeout_s, stopped=self.stopped
        )

    def _attach(self) -> None:
        """Wait for the publishers that the broker named. Those without a reply in time are
        logged."""
        timeout_s = self.config.attach_timeout_s
        if timeout_s <= 0:
            return
        try:
            wait_until_ready(self.receiver, timeout_s, self.stopped)
        except NotReady:
            missing = self.performer.awaited_publishers()
            if missing and not self.stopped():
                _log.warning(
                    "no answer within %g s from %d of the publishers (%s): their next "
                    "events may not arrive",
                    *(timeout_s, len(missing), name_list(missing)),
                )
        if self._aborting:
            raise NotReady("stopped before it was connected")

    def _hurry(self) -> None:
        self._aborting = True
        self.receiver.end()

    def _finish(self) -> None:
        with self._turn:
            self._take_down()

    def _take_down(self) -> None:
        with contextlib.ExitStack() as stack:
            if self._claim is not None:
                stack.callback(self._claim.release)
            if self._context is not None:
                stack.callback(terminate_context, self._context)
            if self._lane is not None:
                stack.callback(self._lane.close)
            stack.callback(self.receiver.close)
            if self.control is not None:
                stack.callback(self.control.close, {})
            self.performer.close()

    def _cut_off(self) -> None:
        """In a forked child."""
        self.receiver.cut_off()
        if self._lane is not None:
            self._lane.cut_off()
        if self._claim is not None:
            self._claim.abandon()

    def stopped(self) -> bool:
        """Whether `stop` was called, or `open` must end."""
        return self._aborting or self.receiver.stopping

    # Receiving

    def wait_until_ready(self, timeout_s: float | None) -> None:
        """Wait until all publishers have replied.

        Raises:
            NotReady: Some had not after ``timeout_s`` seconds, or `stop` was called.
            PubSubError: It is not connected, or the broker refused it.
        """
        self.check_usable()
        wait_until_ready(self.receiver, timeout_s, self.stopped)
        self.performer.reports.tell()

    def counts(self) -> Counts:
        """Numbers of all events so far."""
        # The main thread never holds the performer's lock: a signal handler there may
        # disconnect, which waits for it.
        counts = run_uninterrupted(self.performer.counts)
        counts.received -= self.receiver.buffered_count()
        return counts

    def _call_control(self) -> None:
        if self.control is not None:
            self.control.wake()

    # For the control thread

    def _check_connections(self) -> float | None:
        """Returns the seconds until the next call."""
        if self._lane is not None:
            self._lane.prepare()
        return earliest(
            self.performer.check_connections(), self.receiver.end_late_wait()
        )

    def _on_session_update(self, update: SessionUpdate) -> None:
        self._control_thread = threading.get_ident()
        match update:
            case Accepted(reply):
                self.performer.register(reply)
            case PublishersUpdated():
                self.performer.update(update)
                self.performer.apply_updates()
            case Rejected():
                self.receiver.wake()

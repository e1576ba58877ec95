"""The broker's public class."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pubsub_broker.config import BrokerConfig, Overflow
from pubsub_broker.event_loop import EventLoop
from pubsub_common import defaults
from pubsub_common.net import addresses
from pubsub_common.protocol.messages import Disconnect

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys

_log = logging.getLogger(__name__)


class Broker:
    """Registers publishers and subscribers and brings them together.

    Centralized, it forwards events; decentralized, it tells subscribers where the
    publishers are and events do not pass through it.

    With ``indefinite`` it runs until `stop`. Else it ends after ``max_event_count``
    events: events forwarded when centralized, so no subscriber receives more than
    that; clients that came or went when decentralized.

    Use `configure`, `event_loop`, `disconnect`, or a ``with`` block around the loop.
    All methods belong to one thread, except `stop` and `disconnect`.
    """

    def __init__(
        self,
        centralized: bool = False,
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        *,
        bind: str | None = None,
        port: int = defaults.CONTROL_PORT,
        lease_s: float = defaults.LEASE_S,
        forwarders: int = 1,
        queue_limit: int = defaults.QUEUE_LIMIT,
        linger_s: float = defaults.LINGER_S,
        overflow: Overflow = "drop",
        max_clients: int | None = None,
        max_clients_per_address: int | None = None,
        max_registrations_per_second: float = defaults.REGISTRATIONS_PER_SECOND,
        max_topics_per_client: int = defaults.MAX_TOPICS_PER_CLIENT,
        state: str | Path | None = None,
        secure: str | Path | None = None,
    ) -> None:
        """``bind`` is the IP address to serve, of one of this host's interfaces; without
        it, loopback, which only this host reaches.
        ``port`` 0 takes a free one. Topics are spread over ``forwarders`` threads.

        ``overflow`` says what happens to events for a subscriber whose queue of
        ``queue_limit`` messages is full: ``"drop"`` them for this subscriber, or
        ``"block"`` all forwarding until it has room, so that publishers wait.

        ``max_clients`` may be registered at a time; by default 10,000, or for how many
        the open files of this process are enough. Of these ``max_clients_per_address``
        may come from one IP address, by default half of them, but at least 1,000; and
        from one address ``max_registrations_per_second``, after ten times as many at
        once. Each may have ``max_topics_per_client`` topics. ``state`` is a file in which to
        keep the clients, so that after a restart the status shows which are missing.

        ``secure`` is a folder of keys as ``pubsub-broker keygen`` makes it: then only
        the clients that are enrolled in it can connect, encrypted, and do what its
        policy lets them. Changes of the folder hold within a second.

        Raises:
            ConfigError: an argument cannot work.
        """
        self._config = BrokerConfig(
            centralized=centralized,
            indefinite=indefinite,
            max_event_count=max_event_count,
            bind=bind,
            port=port,
            lease_s=lease_s,
            forwarders=forwarders,
            queue_limit=queue_limit,
            linger_s=linger_s,
            overflow=overflow,
            max_clients=max_clients,
            max_clients_per_address=max_clients_per_address,
            max_registrations_per_second=max_registrations_per_second,
            max_topics_per_client=max_topics_per_client,
            state=state,
            secure=secure,
        )
        self._config.validate()
        self.centralized = centralized
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.port = port
        self.address = ""
        self._loop = EventLoop(self._config, self)
        # The thread of `event_loop`, while there is one.
        self._loop_thread: threading.Thread | None = None
        self._loop_ended = threading.Event()
        self._configured = False
        self._allocated_ports: set[int] = set()

    @property
    def event_count(self) -> int:
        """How many events there were, of the kind that ``max_event_count`` limits."""
        return self._loop.event_count

    # Set-up and end

    def configure(self) -> None:
        """Bind the control port and, centralized, set up forwarding.

        Raises:
            CannotListen: the address is not this host's, or the port is taken.
            ConfigError: the folder of keys or the file of the state cannot be used.
        """
        self.address = self._config.bind or defaults.LOOPBACK
        self._loop.open()
        self._configured = True
        try:
            self.port = self._loop.bind(self.address, self.port)
            self._allocated_ports.add(self.port)
            self.update_send_socket()
            self._loop.begin(self.address, self.port)
        except BaseException:
            self.disconnect()
            raise

    def get_host_address(self) -> str:
        """This host's IP address: the one given, a Mininet host's own, or loopback.
        What is served is `address`: loopback, unless another was given."""
        return self._config.bind or addresses.host_address()

    def get_clear_port(self) -> int:
        """A TCP port of this host that is free and that this broker has not handed
        out before."""
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((self.address or self.get_host_address(), 0))
                port: int = probe.getsockname()[1]
            if port not in self._allocated_ports:
                self._allocated_ports.add(port)
                return port

    def own_keys(self) -> ClientKeys | None:
        """What to ask this broker for its status with; None: it is not secure."""
        return self._loop.own_keys()

    def stop(self) -> None:
        """End `event_loop` soon. For any thread and for signal handlers."""
        self._loop.stop()

    def disconnect(self) -> None:
        """Send a farewell to clients, let accepted events go out within the linger time,
        and close everything. Calling it again does nothing. An `event_loop` that still
        runs in another thread is ended before."""
        if not self._configured:
            return
        if self._loop_thread not in (None, threading.current_thread()):
            self.stop()
            self._loop_ended.wait()
        self._configured = False
        self._loop.close()

    def __enter__(self) -> Self:
        self.configure()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()

    # The loop

    def event_loop(self) -> None:
        """Serve until `stop`, or until ``max_event_count`` events when not
        ``indefinite``."""
        index = 0
        self._loop_thread = threading.current_thread()
        self._loop_ended.clear()
        try:
            while not self._loop.finished:
                self.parse_events(index)
                index += 1
        finally:
            self._loop_thread = None
            self._loop_ended.set()

    def parse_events(self, index: int) -> None:
        """Wait for something to do and do it: control messages, due leases and
        notifications, and events when this broker forwards a limited number.

        ``index`` numbers the call, for the debug log.
        """
        self._loop.turn(index)

    # Control

    def register_sub(self) -> None:
        """Register the subscriber whose request is being handled: answer it with
        the topic ports (centralized) or the publishers of its topics."""
        self._loop.handle()

    def register_pub(self) -> None:
        """Register the publisher whose request is being handled, and let the
        subscribers of its topics know."""
        self._loop.handle()

    def disconnect_sub(self, msg: Disconnect) -> None:
        """Remove the subscriber that sent ``msg``."""
        self._loop.disconnect_client(msg)

    def disconnect_pub(self, msg: Disconnect) -> None:
        """Remove the publisher that sent ``msg``, and let the subscribers of its topics
        know."""
        self._loop.disconnect_client(msg)

    def notify_subscribers(
        self,
        topics: Iterable[str],
        pub_address: str | None = None,
        sub_id: int | None = None,
    ) -> None:
        """Tell the subscribers of ``topics`` now about the publishers that came or
        went, instead of after the short time in which the broker collects them.

        ``sub_id`` limits it to the subscriber of this session. ``pub_address`` is
        for the log: what a subscriber is told is always all that it does not know.
        """
        _log.debug("notifying subscribers of %s about %s", topics, pub_address)
        self._loop.perform(self._loop.core.flush(topics, sub_id))

    # Forwarding (centralized)

    def update_send_socket(self) -> list[int]:
        """Set up the sockets from which events are forwarded, if this broker
        forwards and has not done so; returns their ports.

        Raises:
            ConfigError: no port could be bound.
        """
        return self._loop.open_forwarders(self.address, self.get_clear_port)

    def update_receive_socket(self) -> None:
        """Connect to publishers that registered and disconnect from those that left
        (after a grace time, so that what they sent last still arrives)."""
        self._loop.apply_changes()

    def send(self, topic: str) -> bool:
        """Forward the event at hand to the subscribers of ``topic``; False when no
        event of this topic is at hand. Only a broker with an event limit has events
        at hand: else libzmq's proxy forwards them in C, faster and uncounted."""
        return self._loop.send(topic)

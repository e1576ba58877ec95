"""The broker as a program part: sockets around the core. Shell."""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

import zmq

from pubsub_broker.core import BrokerCore
from pubsub_broker.effects import (
    Arrived,
    Attach,
    Departed,
    Detach,
    Effect,
    Rejected,
    Send,
)
from pubsub_broker.forwarder import ForwardSockets, ProxyForwarder, forwarder_of
from pubsub_broker.registry import MemoryRegistry
from pubsub_common import addresses, arguments, defaults, messages
from pubsub_common.batches import counted
from pubsub_common.errors import ConfigError, ProtocolError, PubSubError
from pubsub_common.events import SESSION_BITS, topic_prefix
from pubsub_common.messages import Disconnect, Heartbeat, Model, Register, Request
from pubsub_common.sockets import (
    Waker,
    end_context,
    endpoint,
    new_context,
    wait_until_sent,
)

_log = logging.getLogger(__name__)

_BIND_ATTEMPTS: Final = 20
# How long a goodbye may take to leave; nobody misses one that does not arrive.
_FAREWELL_S: Final = 1.0
_CONTROL_QUEUE: Final = 1000
# The longest wait in one go. A signal that comes just before a wait does not end it,
# so a handler that calls `stop` would be run after it.
_TURN_S: Final = 0.5
# Requests served before queued ones wait for pushes and forwarder changes: bounds
# how long a crowd of newcomers delays the others' notifications.
_BURST: Final = 256


class Broker:
    """Registers publishers and subscribers and brings them together.

    Centralized, it forwards events; decentralized, it tells subscribers where the
    publishers are and events do not pass through it.

    With ``indefinite`` it runs until `stop`. Else it ends after ``max_event_count``
    events: events forwarded when centralized, so no subscriber receives more than
    that; clients that came or went when decentralized.

    Use `configure`, `event_loop`, `disconnect`, or a ``with`` block around the loop.
    All methods belong to one thread, except `stop`.
    """

    def __init__(
        self,
        centralized: bool = False,
        indefinite: bool = False,
        max_event_count: int = defaults.MAX_EVENT_COUNT,
        *,
        address: str | None = None,
        port: int = defaults.CONTROL_PORT,
        lease_s: float = defaults.LEASE_S,
        forwarders: int = 1,
        queue_limit: int = defaults.QUEUE_LIMIT,
        linger_s: float = defaults.LINGER_S,
    ) -> None:
        """``address`` is the IP address to serve; by default the Mininet host's own,
        else loopback. ``port`` 0 takes a free one. Topics are spread over
        ``forwarders`` threads.

        Raises:
            ConfigError: an argument cannot work.
        """
        arguments.at_least("max_event_count", max_event_count)
        arguments.port("port", port, low=0)
        if not 0 < lease_s < float("inf"):
            raise ConfigError(f"lease_s must be more than 0 seconds: {lease_s}")
        arguments.at_least("forwarders", forwarders)
        arguments.queue_limit(queue_limit)
        self.centralized = centralized
        self.indefinite = indefinite
        self.max_event_count = max_event_count
        self.port = port
        self.event_count = 0
        self._given_address = addresses.validate_host(address) if address else None
        self._lease_s = lease_s
        self._forwarder_count = forwarders
        self._queue_limit = queue_limit
        self._linger_s = linger_s
        self.address = ""
        self._stopping = False
        self._configured = False
        self._allocated_ports: set[int] = set()
        self._forward_ports: list[int] = []
        self._pairs: list[ForwardSockets] = []
        self._proxies: list[ProxyForwarder] = []
        self._changes: list[Attach | Detach] = []
        self._request: tuple[bytes, Request] | None = None
        self._event: bytes | None = None

    # Set-up and end

    def configure(self) -> None:
        """Bind the control port and, centralized, set up forwarding.

        Raises:
            ConfigError: the address is not this host's, or the port is taken.
        """
        self.address = self.get_host_address()
        self._waker = Waker()
        self._context = new_context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        # Per client. One that does not read loses pushes, which it notices by the
        # next revision, instead of filling the memory.
        self._router.set_hwm(_CONTROL_QUEUE)
        self._router.setsockopt(zmq.MAXMSGSIZE, defaults.MAX_CONTROL_BYTES)
        model: Model = "centralized" if self.centralized else "decentralized"
        self._core = BrokerCore(
            model,
            MemoryRegistry(self._lease_s),
            epoch=random.getrandbits(SESSION_BITS),
            lease_s=self._lease_s,
            new_session=lambda: random.getrandbits(SESSION_BITS),
            ports=self._ports_of,
            forwarded=self._forwarded,
            clock_ns=time.time_ns,
            now=time.monotonic(),
        )
        self._configured = True
        try:
            self._bind_control()
            self.update_send_socket()
        except BaseException:
            self.disconnect()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self._waker.fd, zmq.POLLIN)
        for pair in self._pairs if not self._proxies else ():
            self._poller.register(pair.xsub, zmq.POLLIN)
            self._poller.register(pair.xpub, zmq.POLLIN)
        _log.info("%s broker on %s:%d", model, self.address, self.port)

    def get_host_address(self) -> str:
        """This host's IP address: the one given, a Mininet host's own, or loopback."""
        return self._given_address or addresses.host_address()

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

    def stop(self) -> None:
        """End `event_loop` soon. For any thread and for signal handlers."""
        self._stopping = True
        if self._configured:
            self._waker.wake()

    def disconnect(self) -> None:
        """Say goodbye to clients, let accepted events go out within the linger time,
        and close everything. Calling it again does nothing."""
        if not self._configured:
            return
        self._configured = False
        self._perform(self._core.farewell())
        until = time.monotonic() + self._linger_s
        for port in self._forward_ports:
            wait_until_sent(port, until - time.monotonic())
        left_s = max(0.0, until - time.monotonic())
        for proxy in self._proxies:
            proxy.close(left_s)
        # Those without a proxy: all of a broker with an event limit, and one whose
        # set-up failed between the two.
        for pair in self._pairs[len(self._proxies) :]:
            pair.close(left_s)
        self._router.close(linger=round(min(self._linger_s, _FAREWELL_S) * 1000))
        end_context(self._context)
        self._waker.close()

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
        while not self._finished():
            self.parse_events(index)
            index += 1

    def parse_events(self, index: int) -> None:
        """Wait for something to do and do it: control messages, due leases and
        notifications, and events when this broker forwards a limited number.

        ``index`` numbers the call, for the debug log.
        """
        ready = dict(self._poller.poll(self._timeout_ms()))
        if self._waker.fd in ready:
            self._waker.clear()
        if self._router in ready:
            for _ in range(_BURST):
                if not self._receive_request(index):
                    break
        if not self._proxies:
            for pair in self._pairs:
                pair.forward_subscriptions()
                if pair.xsub in ready:
                    self._forward_waiting(pair)
        effects = self._core.tick(time.monotonic())
        self._count_registration(effects)
        self._perform(effects)
        self.update_receive_socket()

    def _finished(self) -> bool:
        return self._stopping or (
            not self.indefinite and self.event_count >= self.max_event_count
        )

    def _timeout_ms(self) -> int:
        deadlines = [self._core.next_deadline()]
        # Safe beside a proxy: its thread touches this only while it applies changes,
        # and this thread waits meanwhile.
        deadlines += [pair.detach_due() for pair in self._pairs]
        now = time.monotonic()
        due = min((at for at in deadlines if at is not None), default=now + _TURN_S)
        return round(min(max(0.0, due - now), _TURN_S) * 1000) + 1

    # Control

    def register_sub(self) -> None:
        """Register the subscriber whose request is being handled: answer it with
        the topic ports (centralized) or the publishers of its topics."""
        self._handle()

    def register_pub(self) -> None:
        """Register the publisher whose request is being handled, and let the
        subscribers of its topics know."""
        self._handle()

    def disconnect_sub(self, msg: Disconnect) -> None:
        """Forget the subscriber that says goodbye with ``msg``."""
        self._say_goodbye(msg)

    def disconnect_pub(self, msg: Disconnect) -> None:
        """Forget the publisher that says goodbye with ``msg``, and let the
        subscribers of its topics know."""
        self._say_goodbye(msg)

    def notify_subscribers(
        self,
        topics: Iterable[str],
        pub_address: str | None = None,
        sub_id: int | None = None,
    ) -> None:
        """Tell the subscribers of ``topics`` now about the publishers that came or
        went, instead of after the short time in which the broker collects such news.

        ``sub_id`` limits it to the subscriber of this session. ``pub_address`` is
        for the log: what a subscriber is told is always all that it does not know.
        """
        _log.debug("notifying subscribers of %s about %s", topics, pub_address)
        self._perform(self._core.flush(topics, sub_id))

    def _receive_request(self, index: int) -> bool:
        """Handle one control message; False when none waits."""
        try:
            peer, *frames = self._router.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        data = frames[0] if len(frames) == 1 else b""  # empty is malformed
        now = time.monotonic()
        try:
            request = messages.decode_request(data)
        except ProtocolError:
            self._perform(self._core.receive(peer, data, now))
            return True
        self._request = (peer, request)
        _log.debug("event %d: %s", index, type(request).__name__)
        match request:
            case Register(role="subscriber"):
                self.register_sub()
            case Register():
                self.register_pub()
            case Disconnect():
                self._goodbye_by_role(request)
            case _:
                self._handle()
        self._request = None
        return True

    def _goodbye_by_role(self, request: Disconnect) -> None:
        if self._core.role_of(request.session) == "publisher":
            self.disconnect_pub(request)
        else:
            self.disconnect_sub(request)

    def _handle(self) -> None:
        if self._request is None:
            raise PubSubError("no request is being handled")
        peer, request = self._request
        effects = self._core.handle(peer, request, time.monotonic())
        if not isinstance(request, Heartbeat):
            self._count_registration(effects)
        self._perform(effects)

    def _say_goodbye(self, msg: Disconnect) -> None:
        peer = self._request[0] if self._request else b""
        effects = self._core.disconnect(peer, msg, time.monotonic())
        self._count_registration(effects)
        self._perform(effects)

    def _count_registration(self, effects: Iterable[Effect]) -> None:
        if not self.centralized:
            self.event_count += sum(
                isinstance(effect, Arrived | Departed) for effect in effects
            )

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer, message):
                    if peer:
                        self._router.send_multipart([peer, messages.encode(message)])
                case Attach() | Detach():
                    self._changes.append(effect)
                case Arrived(client, again):
                    _log.info(
                        "%s %s %s: %s",
                        client.role,
                        client.address,
                        "is back" if again else "joined",
                        ", ".join(client.topics),
                    )
                case Departed(client, reason):
                    _log.info("%s %s %s", client.role, client.address, reason)
                case Rejected(_, detail):
                    _log.warning("refused: %s", detail)

    # Forwarding (centralized)

    def update_send_socket(self) -> list[int]:
        """Set up the sockets from which events are forwarded, if this broker
        forwards and has not done so; returns their ports.

        Raises:
            ConfigError: no port could be bound.
        """
        if self.centralized and not self._pairs:
            for number in range(self._forwarder_count):
                pair = ForwardSockets(self._context, self._queue_limit)
                self._pairs.append(pair)
                self._forward_ports.append(self._bind_forwarder(pair))
                if self.indefinite:
                    proxy = ProxyForwarder(self._context, pair, f"forwarder-{number}")
                    self._proxies.append(proxy)
                    proxy.start()
        return list(self._forward_ports)

    def update_receive_socket(self) -> None:
        """Connect to publishers that registered and disconnect from those that left
        (after a grace time, so that what they sent last still arrives)."""
        changes, self._changes = self._changes, []
        for index, pair in enumerate(self._pairs):
            # Every publisher at every forwarder, though each of its topics goes through
            # one: so it sees the ready topics of a subscriber from all of them.
            mine = [(isinstance(item, Attach), item.address) for item in changes]
            due = pair.detach_due()
            if not mine and (due is None or due > time.monotonic()):
                continue
            if self._proxies:
                self._proxies[index].apply(mine)
            else:
                pair.apply(mine)

    def send(self, topic: str) -> bool:
        """Forward the event at hand to the subscribers of ``topic``; False when no
        event of this topic is at hand. Only a broker with an event limit has events
        at hand: else libzmq's proxy forwards them in C, faster and uncounted."""
        event = self._event
        if event is None or not event.startswith(topic_prefix(topic)):
            return False
        self._pairs[self._forwarder_of(topic)].xpub.send(event)
        self._event = None
        return True

    def _forward_waiting(self, pair: ForwardSockets) -> None:
        """Forward what waits, up to the event limit; a batch beyond it is cut. Answers
        of the ready handshake pass and do not count."""
        for _ in range(_BURST):
            if self._finished():
                return
            try:
                frame = pair.xsub.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            limit = self.max_event_count - self.event_count
            try:
                topic, self._event, count = counted(frame, limit)
            except ProtocolError:
                pair.xpub.send(frame)
                continue
            if self.send(topic):
                self.event_count += count

    def _bind_control(self) -> None:
        try:
            self._router.bind(endpoint(self.address, self.port or "*"))
        except zmq.ZMQError as error:
            raise ConfigError(
                f"cannot listen on {self.address}:{self.port}: {error.strerror}"
            ) from error
        bound = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(bound.rpartition(":")[2])
        self._allocated_ports.add(self.port)

    def _bind_forwarder(self, pair: ForwardSockets) -> int:
        for _ in range(_BIND_ATTEMPTS):
            port = self.get_clear_port()
            try:
                pair.bind(self.address, port)
            except zmq.ZMQError as error:
                # Somebody took it since it was looked up.
                if error.errno != zmq.EADDRINUSE:
                    raise
            else:
                return port
        raise ConfigError(f"no free port on {self.address} to forward events from")

    def _forwarder_of(self, topic: str) -> int:
        return forwarder_of(topic, self._forwarder_count)

    def _ports_of(self, topics: Iterable[str]) -> dict[str, int]:
        return {
            topic: self._forward_ports[self._forwarder_of(topic)] for topic in topics
        }

    def _forwarded(self) -> int:
        if self._proxies:
            return sum(proxy.forwarded() for proxy in self._proxies)
        return self.event_count if self.centralized else 0

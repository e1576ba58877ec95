"""The broker's decisions: control messages in, effects out. Core.

The two models differ here only in what a subscriber is told: addresses of
publishers (decentralized), or ports of the broker (centralized).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pubsub_broker.effects import (
    Arrived,
    Attach,
    Departed,
    Detach,
    Effect,
    Rejected,
    Send,
)
from pubsub_broker.registry import Client, Registry
from pubsub_common import messages
from pubsub_common.defaults import CLOCKS, NOTIFY_DELAY_S
from pubsub_common.endpoints import parse_address, validate_host
from pubsub_common.errors import ConfigError, ProtocolError
from pubsub_common.messages import (
    Alive,
    ClientStatus,
    ClockRange,
    ClockReply,
    ClockRequest,
    Departure,
    Disconnect,
    Disconnected,
    Error,
    Farewell,
    Heartbeat,
    Model,
    PublisherInfo,
    PublishersChanged,
    Register,
    Registered,
    Request,
    Role,
    Status,
    StatusRequest,
)
from pubsub_common.topics import validate_topics

_MAX_DETAIL: Final = 500


@dataclasses.dataclass(slots=True)
class _Channel:
    """The way to one client: its connection, the pushes sent, and what waits."""

    peer: bytes
    revision: int = 0
    joined: dict[int, PublisherInfo] = dataclasses.field(default_factory=dict)
    left: dict[int, Departure] = dataclasses.field(default_factory=dict)

    def forget_pending(self) -> None:
        self.joined.clear()
        self.left.clear()


class _Refusal(Exception):
    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail


class BrokerCore:
    """The state of one broker. ``now`` is always seconds of one monotonic clock."""

    def __init__(
        self,
        model: Model,
        registry: Registry,
        *,
        epoch: int,
        lease_s: float,
        new_session: Callable[[], int],
        ports: Callable[[Iterable[str]], Mapping[str, int]] = lambda _topics: {},
        forwarded: Callable[[], int] = lambda: 0,
        clock_ns: Callable[[], int] = lambda: 0,
        now: float = 0.0,
    ) -> None:
        """``ports`` maps topics to the broker ports that forward them;
        ``forwarded`` tells how many events have come in, ``clock_ns`` the broker's
        realtime clock."""
        self.model = model
        self.epoch = epoch
        self.rejected = 0
        self._registry = registry
        self._lease_s = lease_s
        self._new_session = new_session
        self._ports = ports
        self._forwarded = forwarded
        self._clock_ns = clock_ns
        self._started_at = now
        self._channels: dict[int, _Channel] = {}
        self._sessions: dict[bytes, int] = {}  # by the connection they last spoke on
        self._pending: set[int] = set()
        self._flush_at: float | None = None

    # Input

    def receive(self, peer: bytes, data: bytes, now: float) -> list[Effect]:
        """Handle whatever came from ``peer``; never raises for what a peer sent."""
        try:
            request = messages.decode_request(data)
        except ProtocolError as error:
            return self._reject(peer, messages.explain_undecodable(data, error))
        return self.handle(peer, request, now)

    def handle(self, peer: bytes, request: Request, now: float) -> list[Effect]:
        """Handle a request that has been decoded."""
        match request:
            case Register():
                return self.register(peer, request, now)
            case Heartbeat():
                return self.heartbeat(peer, request, now)
            case Disconnect():
                return self.disconnect(peer, request, now)
            case StatusRequest():
                return [Send(peer, self.status(request, now))]
            case ClockRequest():
                return [Send(peer, self._time(request))]

    def register(self, peer: bytes, request: Register, now: float) -> list[Effect]:
        """A publisher or subscriber joins, or says again who it is."""
        if request.version != messages.PROTOCOL_VERSION:
            return self._reject(
                peer, messages.wrong_version(request.id, request.version)
            )
        try:
            topics = self._validate(request)
        except _Refusal as refusal:
            reply = Error(id=request.id, code=refusal.code, detail=refusal.detail)
            return self._reject(peer, reply)
        session = request.session
        if session is None:
            # A client that asks twice, because the first answer was late, is one client.
            session = self._session_of(peer, request) or self._new_session()
        client = Client(
            session, request.role, request.address, topics, request.clock, now
        )
        effects: list[Effect] = []
        previous = self._registry.get(session)
        if request.role == "publisher":
            effects += self._displace(client, now)
        unchanged = (
            previous is not None
            and previous.role == client.role
            and previous.address == client.address
            and previous.topics == client.topics
        )
        if previous is not None and not unchanged:
            self._registry.remove(session)
            effects += self._departure(previous, {}, "registered anew", now)
        self._registry.put(client)
        channel = self._channels.setdefault(session, _Channel(peer))
        self._reach_at(session, channel, peer)
        channel.forget_pending()
        if client.role == "publisher" and not unchanged:
            if self.model == "centralized":
                effects.append(Attach(client.address, topics))
            self._announce(client, now)
        effects.append(Send(peer, self._registered(request, client, channel)))
        again = previous is not None or request.session is not None
        effects.append(Arrived(client, again))
        return effects

    def heartbeat(self, peer: bytes, request: Heartbeat, now: float) -> list[Effect]:
        """A client is alive."""
        channel = self._channels.get(request.session)
        known = self._registry.renew(request.session, now) and channel is not None
        revision = 0
        if channel is not None:
            # A client whose TCP connection broke comes back under another peer id.
            self._reach_at(request.session, channel, peer)
            revision = channel.revision
        client = self._registry.get(request.session)
        clocks = None
        if client is not None:
            client.offset = request.clock
            clocks = self._publishers_clock(client)
        alive = Alive(
            id=request.id,
            epoch=self.epoch,
            known=known,
            revision=revision,
            publishers_clock=clocks,
        )
        return [Send(peer, alive)]

    def disconnect(self, peer: bytes, request: Disconnect, now: float) -> list[Effect]:
        """A client leaves. One that is not known has left already: no error."""
        effects: list[Effect] = []
        client = self._registry.remove(request.session)
        if client is not None:
            effects += self._departure(client, request.next_sequences, "left", now)
        effects.append(Send(peer, Disconnected(id=request.id)))
        return effects

    def tick(self, now: float) -> list[Effect]:
        """What is due at ``now``: leases that ended, notifications that waited."""
        effects: list[Effect] = []
        for client in self._registry.expire(now):
            effects += self._departure(client, {}, "lease ended", now)
        if self._flush_at is not None and now >= self._flush_at:
            effects += self.flush()
        return effects

    def next_deadline(self) -> float | None:
        """When `tick` is due; None while nothing is."""
        times = (self._flush_at, self._registry.next_expiry())
        return min((time for time in times if time is not None), default=None)

    # Output

    def role_of(self, session: int) -> Role | None:
        """The role of a registered client; None when there is none."""
        client = self._registry.get(session)
        return None if client is None else client.role

    def flush(
        self, topics: Iterable[str] | None = None, session: int | None = None
    ) -> list[Effect]:
        """Send waiting notifications now: all of them, or only those to the
        subscribers of ``topics``, or only those to ``session``."""
        chosen = set(self._pending)
        if topics is not None:
            matching = self._registry.matching("subscriber", topics)
            chosen &= {client.session for client in matching}
        if session is not None:
            chosen &= {session}
        self._pending -= chosen
        if not self._pending:
            self._flush_at = None
        pushes = (self._push(self._channels[key]) for key in sorted(chosen))
        return [push for push in pushes if push is not None]

    def farewell(self) -> list[Effect]:
        """Say goodbye to every client, after the news that still waits for it: the
        broker ends, and publishers go on without it."""
        return self.flush() + [
            Send(channel.peer, Farewell(epoch=self.epoch))
            for channel in self._channels.values()
        ]

    def status(self, request: StatusRequest, now: float) -> Status:
        """The broker's view of itself."""
        return Status(
            id=request.id,
            epoch=self.epoch,
            model=self.model,
            uptime_s=now - self._started_at,
            clients=[
                ClientStatus(
                    role=client.role,
                    session=client.session,
                    address=client.address,
                    topics=list(client.topics),
                    idle_s=now - client.renewed_at,
                )
                for client in self._registry.clients()
            ],
            forwarded=self._forwarded(),
            rejected=self.rejected,
        )

    # Inside

    def _reject(self, peer: bytes, error: Error) -> list[Effect]:
        self.rejected += 1
        # Details quote the peer, who may have sent megabytes or line breaks.
        detail = "".join(
            char if char.isprintable() else "?" for char in error.detail[:_MAX_DETAIL]
        )
        error = Error(id=error.id, code=error.code, detail=detail)
        return [Send(peer, error), Rejected(peer, detail)]

    def _validate(self, request: Register) -> tuple[str, ...]:
        """The topics of an acceptable registration.

        Raises:
            _Refusal: it is not acceptable.
        """
        if request.model not in (None, self.model):
            raise _Refusal(
                messages.WRONG_MODEL,
                f"the {request.role} expects a {request.model} broker, "
                f"this one is {self.model}",
            )
        try:
            topics = validate_topics(request.topics)
        except ConfigError as error:
            raise _Refusal(messages.BAD_TOPIC, str(error)) from error
        try:
            if request.role == "publisher":
                parse_address(request.address)
            else:
                validate_host(request.address)
        except ConfigError as error:
            raise _Refusal(messages.BAD_ADDRESS, str(error)) from error
        self._validate_clock(request, topics)
        return topics

    def _validate_clock(self, request: Register, topics: tuple[str, ...]) -> None:
        """Latency is a difference of two stamps: both sides need the same clock."""
        if request.clock not in CLOCKS:
            raise _Refusal(messages.WRONG_CLOCK, f"unknown clock {request.clock!r}")
        other: messages.Role = (
            "subscriber" if request.role == "publisher" else "publisher"
        )
        for client in self._registry.matching(other, topics):
            if client.clock != request.clock and client.session != request.session:
                raise _Refusal(
                    messages.WRONG_CLOCK,
                    f"the {request.role} uses the {request.clock} clock, but the "
                    f"{other} at {client.address} uses {client.clock}",
                )

    def _reach_at(self, session: int, channel: _Channel, peer: bytes) -> None:
        """A client speaks on this connection now."""
        if channel.peer != peer and self._sessions.get(channel.peer) == session:
            del self._sessions[channel.peer]
        channel.peer = peer
        self._sessions[peer] = session

    def _session_of(self, peer: bytes, request: Register) -> int | None:
        """The session of a client that has just said the same on this connection."""
        session = self._sessions.get(peer)
        client = None if session is None else self._registry.get(session)
        if client is None or (client.role, client.address) != (
            request.role,
            request.address,
        ):
            return None
        return session

    def _publishers_clock(self, client: Client) -> ClockRange | None:
        """Where the clocks of a subscriber's publishers are; None when one is not
        known, or there is none."""
        if client.role != "subscriber":
            return None
        low_ns: int | None = None
        high_ns: int | None = None
        for publisher in self._registry.matching("publisher", client.topics):
            offset = publisher.offset
            if offset is None:
                return None
            low, high = (
                offset.offset_ns - offset.bound_ns,
                offset.offset_ns + offset.bound_ns,
            )
            low_ns = low if low_ns is None else min(low_ns, low)
            high_ns = high if high_ns is None else max(high_ns, high)
        if low_ns is None or high_ns is None:
            return None
        return ClockRange(low_ns=low_ns, high_ns=high_ns)

    def _time(self, request: ClockRequest) -> ClockReply:
        received_ns = self._clock_ns()
        return ClockReply(
            id=request.id,
            sent_ns=request.sent_ns,
            received_ns=received_ns,
            replied_ns=self._clock_ns(),
        )

    def _displace(self, client: Client, now: float) -> list[Effect]:
        """Two publishers cannot hold one port, so an earlier one at this address is
        gone, even if its lease has not ended yet."""
        earlier = self._registry.publisher_at(client.address)
        if earlier is None or earlier.session == client.session:
            return []
        self._registry.remove(earlier.session)
        return self._departure(earlier, {}, "replaced at its address", now)

    def _registered(
        self, request: Register, client: Client, channel: _Channel
    ) -> Registered:
        publishers: list[PublisherInfo] = []
        ports: Mapping[str, int] = {}
        if client.role == "subscriber":
            matching = self._registry.matching("publisher", client.topics)
            publishers = [self._info(publisher, client) for publisher in matching]
            if self.model == "centralized":
                ports = self._ports(client.topics)
        return Registered(
            id=request.id,
            session=client.session,
            epoch=self.epoch,
            lease_s=self._lease_s,
            model=self.model,
            revision=channel.revision,
            ports=dict(ports),
            publishers=publishers,
        )

    def _info(self, publisher: Client, subscriber: Client) -> PublisherInfo:
        wanted = set(subscriber.topics)
        return PublisherInfo(
            session=publisher.session,
            topics=[topic for topic in publisher.topics if topic in wanted],
            address=None if self.model == "centralized" else publisher.address,
        )

    def _announce(self, publisher: Client, now: float) -> None:
        """Let the subscribers of a new publisher's topics know of it."""
        for subscriber in self._registry.matching("subscriber", publisher.topics):
            channel = self._channels[subscriber.session]
            channel.joined[publisher.session] = self._info(publisher, subscriber)
            self._schedule(subscriber.session, now)

    def _departure(
        self, client: Client, next_sequences: Mapping[str, int], reason: str, now: float
    ) -> list[Effect]:
        """A client is out of the registry: tell those it concerns."""
        effects: list[Effect] = [Departed(client, reason)]
        channel = self._channels.pop(client.session, None)
        if channel is not None and self._sessions.get(channel.peer) == client.session:
            del self._sessions[channel.peer]
        self._pending.discard(client.session)
        if client.role == "publisher":
            if self.model == "centralized":
                effects.append(Detach(client.address))
            for subscriber in self._registry.matching("subscriber", client.topics):
                # In this order: the peer chose how many next_sequences there are.
                wanted = {
                    topic: next_sequences[topic]
                    for topic in subscriber.topics
                    if topic in next_sequences
                }
                channel = self._channels[subscriber.session]
                # No news is one that came and went since the last push, unless the
                # subscriber knows it from before.
                unseen = channel.joined.pop(client.session, None) is not None
                if not unseen or client.session in channel.left:
                    channel.left[client.session] = Departure(
                        session=client.session, next_sequences=wanted
                    )
                    self._schedule(subscriber.session, now)
        return effects

    def _schedule(self, session: int, now: float) -> None:
        self._pending.add(session)
        if self._flush_at is None:
            self._flush_at = now + NOTIFY_DELAY_S

    def _push(self, channel: _Channel) -> Send | None:
        if not channel.joined and not channel.left:
            return None
        channel.revision += 1
        push = PublishersChanged(
            revision=channel.revision,
            joined=list(channel.joined.values()),
            left=list(channel.left.values()),
        )
        channel.forget_pending()
        return Send(channel.peer, push)

"""Faults of subscribers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import zmq

from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import PublishersUpdated
from pubsub_common.protocol import sequence
from pubsub_common.protocol.events import Event, ready_topic
from pubsub_common.protocol.messages import (
    Departure,
    Heartbeat,
    PublisherInfo,
    PublishersChanged,
    Registered,
    TopicPort,
)
from pubsub_subscriber.connections.direct import DirectConnections
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.connections.subscriptions import Subscriptions
from pubsub_subscriber.connections.via_broker import BrokerConnections
from pubsub_subscriber.core import SubscriberCore
from pubsub_subscriber.output import formats
from pubsub_subscriber.receiving import decoding, fast_path
from pubsub_subscriber.streams import effects, recovery, repetition
from pubsub_subscriber.streams.departures import Departures
from pubsub_subscriber.streams.stream_table import StreamTable
from pubsub_subscriber.streams.trackers import Trackers
from support.broken_clients import constant, fault, hears, replaced, says, with_fields


def writes(change: Callable[[Event], Event | None]) -> None:
    """Change each line of output; None: do not write it."""

    def json(before: Any, end: bytes, **options: Any) -> Callable[[Event], bytes]:
        render: Callable[[Event], bytes] = before(end, **options)

        def changed(event: Event) -> bytes:
            new = change(event)
            return b"" if new is None else render(new)

        return changed

    replaced(formats, "json", json)


def leaves_out(which: Callable[[Event], object]) -> None:
    """Do not write these events."""
    writes(lambda event: None if which(event) else event)


def sees(change: Callable[[bytes], bytes | None]) -> None:
    """Change frames of the slow path; None: ignore them."""

    def receive(
        before: Any, self: SubscriberCore, frame: bytes, *more: Any
    ) -> list[effects.Effect]:
        changed = change(bytes(frame))
        return [] if changed is None else before(self, changed, *more)

    replaced(SubscriberCore, "receive", receive)


# What it delivers


@fault("events")
def no_empty_events() -> None:
    leaves_out(lambda event: not event.payload)


@fault("many-events")
def drops_some() -> None:
    leaves_out(lambda event: event.sequence % 1000 == 999)


@fault("names")
def trips_over_a_name() -> None:
    leaves_out(lambda event: event.topic == "__proto__")


@fault("numbers")
def cuts_numbers() -> None:
    def cut(event: Event) -> Event:
        return msgspec.structs.replace(event, sequence=event.sequence & 0xFFFFFFFF)

    writes(cut)


@fault("batches")
def reads_first_of_batches() -> None:
    leaves_out(lambda event: event.sequence == 57)


@fault("odd-stamps")
def drops_odd_stamps() -> None:
    leaves_out(lambda event: event.published_ns >= 2**63)


@fault("unnamed-publisher")
def drops_unnamed() -> None:
    leaves_out(lambda event: event.sequence in (7, 8, 9))


@fault("centralized-departure")
def drops_last() -> None:
    leaves_out(lambda event: event.sequence >= 3)


@fault("duplicates")
def delivers_duplicates() -> None:
    def observe(
        before: Any, self: SubscriberCore, event: Event, now: float, items: list[Event]
    ) -> Any:
        gaps = before(self, event, now, items)
        if event not in items:
            items.append(event)
        return gaps

    replaced(SubscriberCore, "_observe", observe)


# What it counts


@fault("gap", "last-events-missing", "comes-back", "same-port-other-epoch")
def tells_no_losses() -> None:
    says(with_fields(Heartbeat, lost={}))


@fault("late-event")
def tells_more_losses() -> None:
    def more(sent: Heartbeat) -> Mapping[str, int]:
        return {topic: count + 1 for topic, count in sent.lost.items()}

    says(with_fields(Heartbeat, lost=more))


@fault("start", "ready-earlier-attempt")
def ignores_ready_answers() -> None:
    replaced(SubscriberCore, "_reach", lambda *_: [])


@fault("two-streams")
def one_stream_a_topic() -> None:
    def tracker(before: Any, self: StreamTable, session: int, topic: str) -> Any:
        return before(self, 0, topic)

    replaced(StreamTable, "tracker", tracker)


@fault("large-jump")
def small_jumps() -> None:
    constant(sequence, "MAX_JUMP", 1000)


@fault("jump", "jump-at-the-end")
def any_jumps() -> None:
    constant(sequence, "MAX_JUMP", 2**60)


# Frames


_USUAL_HEADERS = (b"\x95", b"\x96")


def _array_at(frame: bytes) -> int:
    return frame.find(b"\0") + 2


@fault("longer-arrays", "other-headers")
def short_arrays() -> None:
    def usual(frame: bytes) -> bytes | None:
        start = _array_at(frame)
        return frame if frame[start : start + 1] in _USUAL_HEADERS else None

    def decode(before: Any, *parts: Any) -> Any:
        if bytes(parts[-1][:1]) not in _USUAL_HEADERS:
            raise msgspec.ValidationError("another array")
        return before(*parts)

    sees(usual)
    # The fast path leaves undecodable frames to the slow one.
    for module, name in (
        (fast_path, "decode_body"),
        (decoding, "decode_body"),
        (decoding, "decode_any_body"),
    ):
        replaced(module, name, decode)


@fault("unknown-kinds")
def takes_any_kind() -> None:
    def known(frame: bytes) -> bytes:
        start = _array_at(frame)
        if frame[start - 1] in (1, 2):
            return frame
        return frame[: start - 1] + b"\1" + frame[start:]

    sees(known)


@fault("malformed-frames")
def ends_by_malformed() -> None:
    def receive(before: Any, *args: Any) -> list[effects.Effect]:
        found: list[effects.Effect] = before(*args)
        if any(isinstance(each, effects.Malformed) for each in found):
            raise SystemExit("malformed")
        return found

    replaced(SubscriberCore, "receive", receive)


# The ready handshake


@fault("ready-question")
def asks_twice() -> None:
    def add(before: Any, self: SubSocket, topics: Any, **options: Any) -> bool:
        topics = list(topics)
        arrived = bool(before(self, topics, **options))
        for topic in topics:
            session = self.subscriptions.ready_requests[topic].session
            self.socket.subscribe(ready_topic(topic, session, 0, 9))
        return arrived

    replaced(SubSocket, "add", add)


@fault("ready-again", "two-connections")
def asks_once() -> None:
    replaced(Subscriptions, "repeat_ready_requests", lambda *_: None)


@fault("many-topics")
def default_limit() -> None:
    """The default of a SUB socket without ZMQ_SNDHWM."""

    def set_option(before: Any, self: Any, name: str, value: Any) -> None:
        before(self, name, 1000 if name == "sndhwm" else value)

    replaced(zmq.Socket, "__setattr__", set_option)


@fault("ready-back-off")
def asks_each_second() -> None:
    constant(repetition, "REPEAT_MAX_S", 1.0)


# Publishers


@fault("joined", "flood-of-pushes", "left-before-joined", "stronger-joins", "wildcards")
def ignores_joins() -> None:
    hears(with_fields(PublishersChanged, joined=[]))


@fault("last-events")
def disconnects_at_once() -> None:
    def revoked(said: PublishersChanged) -> list[Departure]:
        return [msgspec.structs.replace(each, revoked=True) for each in said.left]

    hears(with_fields(PublishersChanged, left=revoked))


@fault("revoked", "disconnects", "owner-change")
def ignores_departures() -> None:
    hears(with_fields(PublishersChanged, left=[]))


@fault("skipped-revision")
def ignores_revisions() -> None:
    def on_push(before: Any, self: ClientSession, revision: int, *more: Any) -> Any:
        return before(self, self._revision + 1, *more)

    replaced(ClientSession, "_on_push", on_push)


@fault("pushes-while-registering")
def minds_pushes() -> None:
    def on_push(
        before: Any, self: ClientSession, revision: int, news: Any, now: float
    ) -> Any:
        if not self.registered:
            self._register_soon(now)
        return before(self, revision, news, now)

    replaced(ClientSession, "_on_push", on_push)


@fault("restart-without-publishers", "move-without-publishers")
def forgets_missing() -> None:
    def register(
        before: Any, self: SubscriberCore, reply: Registered, now: float
    ) -> list[effects.Effect]:
        there = {info.session for info in reply.publishers}
        known = {session for session, _ in self.trackers} - there
        left = [Departure(session=each, revoked=True) for each in known]
        update = PublishersUpdated([], left, {})
        gone = self.change_publishers(update, now) if self.model else []
        return [*gone, *before(self, reply, now)]

    replaced(SubscriberCore, "register", register)


@fault("changed-address")
def keeps_addresses() -> None:
    first: dict[int, PublisherInfo] = {}

    def known(said: Registered) -> list[PublisherInfo]:
        return [first.setdefault(each.session, each) for each in said.publishers]

    hears(with_fields(Registered, publishers=known))


@fault("new-session-at-address")
def disconnects_others() -> None:
    def disconnect(
        before: Any,
        self: DirectConnections,
        publisher: PublisherInfo,
        *,
        address_in_use: bool,
    ) -> bool:
        return bool(before(self, publisher, address_in_use=False))

    replaced(DirectConnections, "disconnect", disconnect)


@fault("second-departure")
def forgets_first_departure() -> None:
    replaced(Departures, "__contains__", lambda *_: False)


@fault("comes-back-later")
def forgets_streams() -> None:
    def close(before: Any, self: Trackers, key: tuple[int, str]) -> None:
        before(self, key)
        self._closed.pop(key, None)

    replaced(Trackers, "close", close)


# Ports of a broker


@fault("centralized", "other-model")
def knows_no_ports() -> None:
    hears(with_fields(Registered, ports={}))


@fault("three-forwarders")
def all_topics_everywhere() -> None:
    """Like with one socket that is connected to all ports."""

    def listen(
        before: Any, self: BrokerConnections, ports: Mapping[str, int], count: int
    ) -> None:
        before(self, ports, count)
        for socket in self._sockets.open:
            socket.add(ports, total_topics=count)

    replaced(BrokerConnections, "listen", listen)


@fault("other-ports", "move-forwarded")
def keeps_first_ports() -> None:
    first: dict[str, TopicPort] = {}

    def known(said: Registered) -> Mapping[str, TopicPort]:
        return first or first.update(said.ports) or first

    hears(with_fields(Registered, ports=known))


@fault("ports-kept")
def drops_missing_ports() -> None:
    def register(before: Any, self: SubscriberCore, *more: Any) -> Any:
        self.sources.epoch = None
        return before(self, *more)

    replaced(SubscriberCore, "register", register)


@fault("ports-elsewhere")
def knows_own_ports_alone() -> None:
    def own(said: Registered) -> Mapping[str, TopicPort]:
        return {
            topic: port for topic, port in said.ports.items() if isinstance(port, int)
        }

    hears(with_fields(Registered, ports=own))


@fault("wildcards-forwarded", "topic-moves")
def ignores_new_ports() -> None:
    hears(with_fields(PublishersChanged, ports={}))


# Owners


@fault("owner-alone")
def ignores_strengths() -> None:
    def weak(said: Registered) -> list[PublisherInfo]:
        return [msgspec.structs.replace(each, strengths={}) for each in said.publishers]

    hears(with_fields(Registered, publishers=weak))


@fault("owner-last-events")
def skips_owners_that_left() -> None:
    replaced(Departures, "is_orderly", lambda *_: False)


@fault("skipped-answer")
def counts_skipped_answers() -> None:
    def reach(
        before: Any, self: SubscriberCore, position: Any, now: float, items: Any
    ) -> Any:
        tracker = self.streams.tracker(position.session, position.topic)
        gap = tracker.expect(position.sequence)
        return [] if gap is None else [gap]

    replaced(SubscriberCore, "_reach", reach)


@fault("owner-missing-after-restart")
def gives_up_owners() -> None:
    def begin(
        before: Any, self: Departures, left: Departure, now: float, **_: bool
    ) -> None:
        before(self, left, now, may_return=False)

    replaced(Departures, "begin", begin)


@fault("idle-owner")
def waits_for_owners() -> None:
    hears(with_fields(Registered, owner_idle_s=None))


# Recovery


@fault("recovers", "recovers-rest", "recovers-again", "recovers-end")
def never_asks() -> None:
    replaced(SubSocket, "change_subscription", lambda *_, **__: False)


@fault("recovery-back-off")
def asks_each_half_second() -> None:
    constant(recovery, "_RETRY_MAX_S", 0.5)


@fault("not-to-be-had", "no-history", "never-answered")
def tells_no_losses_of_recovery() -> None:
    tells_no_losses()

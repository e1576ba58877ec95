"""Every delivered event passes `accept`: a filter there drops what it says and nothing else."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest.mock import Mock

import pytest
from support.core_steps import new_performer
from support.fake_sub_socket import FakeSubSocket

from pubsub_common.protocol.batches import batch_prefix, encode_batch_body
from pubsub_common.protocol.events import (
    Event,
    encode_body,
    encode_event,
    event_prefix,
)
from pubsub_common.protocol.messages import Departure, PublisherInfo
from pubsub_common.protocol.recovery_messages import (
    encode_recovery_reply,
    parse_recovery_request,
)
from pubsub_subscriber.connections.interface import Connections
from pubsub_subscriber.connections.sub_socket import SubSocket
from pubsub_subscriber.receiving.event_queue import EventQueue
from pubsub_subscriber.receiving.fast_path import BURST
from pubsub_subscriber.receiving.receiver import Receiver

Accept = Callable[[Event], bool]
Key = tuple[int, int]
FIRST, SECOND = 1, 2


def frame(number: int, session: int = FIRST, payload: bytes = b"x") -> bytes:
    return encode_event("A", "p", session, number, 1, payload)


def batch(first: int, count: int, session: int = FIRST) -> bytes:
    stamps, payloads = [1] * count, [b"x"] * count
    return batch_prefix("A") + encode_batch_body("p", session, first, stamps, payloads)


class Bench:
    """A receiver with recovery, one socket, and a publisher that answers requests."""

    def __init__(
        self, accept: Accept | None, *, answers: bool = True, views: bool = False
    ) -> None:
        self.answers = answers
        self.performer = new_performer(
            "A", recover_timeout_s=10.0, max_held=100, grace_s=0.0
        )
        self.performer.use(cast(Connections, self))
        self.streams = self.performer.core.streams
        self.receiver = Receiver(
            self.performer,
            lambda: 5,
            None,
            lambda: None,
            accept,
            views=views,
        )
        self.receiver.open()
        self.socket = FakeSubSocket(0, [])
        self.receiver.sockets.add(0, cast(SubSocket, self.socket))

    # The only connection

    def socket_for(self, _session: int, _topic: str) -> Bench:
        return self

    def change_subscription(self, raw: bytes, *, begins: bool) -> bool:
        request = parse_recovery_request(raw)
        if begins and request is not None and self.answers:
            count = request.last + 1 - request.first
            self.socket.frames.append(
                encode_recovery_reply(
                    request, "p", request.first, [1] * count, [b"x"] * count
                )
            )
        return False


def usual(bench: Bench) -> None:
    bench.socket.frames.extend(frame(number) for number in range(3 * BURST))


def batches(bench: Bench) -> None:
    bench.socket.frames.append(frame(0))
    bench.socket.frames.extend(batch(first, 8) for first in range(1, 400, 8))


def longer(bench: Bench) -> None:
    """Events and batches with further elements, as a later protocol may have them."""
    more = {"header": b"x"}
    bench.socket.frames.append(frame(0))
    for first in range(1, 3 * BURST, 3):
        event = ("p", FIRST, first, 1, b"x", more)
        two = ("p", FIRST, first + 1, 1, (0, 0), (b"x", b"x"), more)
        bench.socket.frames.append(event_prefix("A") + encode_body(event))
        bench.socket.frames.append(batch_prefix("A") + encode_body(two))


def large(bench: Bench) -> None:
    bench.socket.frames.extend(
        frame(number, FIRST, bytes(200_000)) for number in range(9)
    )


def recovered(bench: Bench) -> None:
    """Events after a gap are held until those in it have been asked for."""
    numbers = (0, 1, 5, 6, 2 * BURST, 2 * BURST + 1)
    bench.socket.frames.extend(frame(number) for number in numbers)


def owner_changed(bench: Bench) -> None:
    """The first owner has a gap when another publisher becomes the owner."""
    for session in (FIRST, SECOND):
        bench.streams.join(
            PublisherInfo(session=session, topics=["A"], strengths={"A": session})
        )
    bench.socket.frames.extend(frame(number, SECOND) for number in (0, 1, 4))
    bench.socket.frames.extend(frame(number, FIRST) for number in range(3))
    bench.streams.leave(Departure(session=SECOND, next_sequences={"A": 9}), 0.0)
    bench.socket.frames.extend(frame(number, FIRST) for number in range(3, 9))


def socket_closing(bench: Bench) -> None:
    usual(bench)
    bench.receiver.sockets.retire(0)


def departed(bench: Bench) -> None:
    """Held events are delivered when their publisher is gone and no more can come."""
    bench.answers = False
    bench.streams.join(PublisherInfo(session=FIRST, topics=["A"]))
    for number in (0, 2, 3, 7):
        bench.socket.frames.append(frame(number))
    while bench.receiver.fetch():
        pass
    bench.streams.leave(Departure(session=FIRST), 0.0)
    while bench.streams.publisher(FIRST) is not None:
        bench.performer.tick(bench.receiver.queue.incoming, idle=True)


def one_by_one(bench: Bench) -> Iterator[Event]:
    while (event := bench.receiver.receive(0.0)) is not None:
        yield event


def in_bursts(bench: Bench) -> Iterator[Event]:
    while (burst := bench.receiver.burst()) is not None:
        yield from burst


def in_batches(bench: Bench) -> Iterator[Event]:
    while (found := bench.receiver.next_batch(0.0)) is not None:
        yield from found


def arrived(bench: Bench) -> Iterator[Event]:
    while (event := bench.receiver.next_arrived("A")) is not None:
        yield event


def mixed(bench: Bench) -> Iterator[Event]:
    """A burst that is left early is delivered by other methods."""
    while (burst := bench.receiver.burst()) is not None:
        yield next(burst)
        for receive in (
            lambda: bench.receiver.next_batch(0.0),
            lambda: [bench.receiver.next_arrived("")],
        ):
            yield from filter(None, receive() or ())


def waiting_in_the_socket(bench: Bench) -> Iterator[Event]:
    receiver, sub_socket = bench.receiver, cast(SubSocket, bench.socket)
    turns = receiver._turns
    while (event := receiver.receive(0.0)) is not None:
        yield event
        while bench.socket.frames and sub_socket in receiver.sockets.open:
            if not turns.fast_path.is_ready() or receiver.buffered_count():
                break
            turns.poller._seen_wake_token = turns.poller.wake_token
            turns.poller.only_socket = sub_socket
            assert turns.enter(sub_socket)
            while turns.next_in_socket(None):
                yield from receiver.queue.burst


PATHS = [
    usual,
    batches,
    longer,
    large,
    recovered,
    owner_changed,
    socket_closing,
    departed,
]
METHODS = [one_by_one, in_bursts, in_batches, arrived, mixed, waiting_in_the_socket]
FILTERS: list[Accept] = [
    lambda event: event.sequence % 3 != 0,
    lambda event: event.sequence > BURST + 9,  # whole bursts are dropped
    lambda event: event.session != FIRST,
    lambda _event: False,
]


def delivered(
    path: Callable[[Bench], object],
    method: Callable[[Bench], Iterator[Event]],
    accept: Accept | None,
) -> list[Key]:
    bench = Bench(accept)
    path(bench)
    found = [(event.session, event.sequence) for event in method(bench)]
    assert not bench.socket.frames
    assert bench.receiver.event_count == len(found)
    # Dropped events have arrived, so they are among the received ones.
    received = bench.streams.counts().received
    assert bench.receiver.dropped_count == received - len(found)
    if path is socket_closing:
        assert bench.socket.closed
    bench.receiver.close()
    return found


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda each: each.__name__)
def test_no_path_bypasses_accept_and_nothing_else_is_dropped(
    path: Callable[[Bench], object], method: Callable[[Bench], Iterator[Event]]
) -> None:
    everything = delivered(path, method, None)
    assert len(everything) == len(set(everything)) > 3
    for accept in FILTERS:
        wanted = [
            (session, number)
            for session, number in everything
            if accept(Event("p", session, number, 1, b""))
        ]
        assert delivered(path, method, accept) == wanted


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda each: each.__name__)
def test_no_path_bypasses_views(
    path: Callable[[Bench], object], method: Callable[[Bench], Iterator[Event]]
) -> None:
    bench = Bench(None, views=True)
    path(bench)
    events = list(method(bench))
    kinds: set[Any] = {type(event.payload) for event in events}
    assert kinds == {memoryview}
    found = [(event.session, event.sequence) for event in events]
    assert found == delivered(path, method, None)
    bench.receiver.close()


def test_batches_of_views_stay_together() -> None:
    bench = Bench(None, views=True)
    batches(bench)
    sizes, kinds = [], set[Any]()
    while (found := bench.receiver.next_batch(0.0)) is not None:
        sizes.append(len(found))
        kinds.update(map(type, found.payloads))
    assert sizes == [1] + [8] * 50
    assert kinds == {memoryview}
    bench.receiver.close()


def test_delivered_views_keep_no_memory_while_it_waits() -> None:
    memory = array("B", b"x")
    kept = weakref.ref(memory)
    queue = EventQueue(None, None, views=True)
    queue.incoming.append(Event("p", FIRST, 0, 1, cast(Any, memoryview(memory))))
    del memory
    assert queue.start_burst()
    for event in queue.burst:
        assert bytes(event.payload) == b"x"
    del event
    assert kept() is not None, "the burst may be put back"
    assert not queue.start_burst()
    assert kept() is None


def test_delivered_batches_of_views_keep_no_memory_while_it_waits() -> None:
    memory = array("B", b"x")
    kept = weakref.ref(memory)
    queue = EventQueue(None, None, views=True)
    queue.incoming.append(Event("p", FIRST, 0, 1, cast(Any, memoryview(memory))))
    del memory
    assert queue.start_batch()
    for found in queue.ready:
        assert bytes(found.payloads[0]) == b"x"
    del found
    assert kept() is not None, "the batch may be put back"
    assert not queue.start_batch()
    assert kept() is None


@pytest.mark.parametrize("path", [usual, batches, longer])
def test_what_is_in_order_is_no_cold_work(
    path: Callable[[Bench], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes thirty times as long."""
    bench = Bench(None)
    path(bench)
    frames = len(bench.socket.frames)
    take = Mock(side_effect=bench.performer.take)
    monkeypatch.setattr(bench.performer, "take", take)

    assert len(list(one_by_one(bench))) >= frames
    assert take.call_count == 1  # for the first one of the stream
    bench.receiver.close()


def test_the_limit_counts_accepted_events_only() -> None:
    bench = Bench(lambda event: event.sequence % 2 == 1)
    bench.receiver.queue._limit = 5
    usual(bench)

    assert [event.sequence for event in one_by_one(bench)] == [1, 3, 5, 7, 9]
    assert bench.receiver.ended
    bench.receiver.close()


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.__name__)
def test_accept_may_change_what_is_delivered(
    method: Callable[[Bench], Iterator[Event]],
) -> None:
    def shorten(event: Event) -> bool:
        event.payload = b"short"
        return True

    bench = Bench(shorten)
    batches(bench)

    payloads: list[Any] = [event.payload for event in method(bench)]
    assert payloads == [b"short"] * len(payloads)
    assert len(payloads) == 401
    bench.receiver.close()


class Endless(FakeSubSocket):
    """A socket of a broker that keeps sending."""

    number = 0

    def receive_into(self, buffer: memoryview, *, flags: int = 0) -> int:
        self.frames.append(frame(self.number))
        self.number += 1
        return super().receive_into(buffer, flags=flags)

    def events(self) -> int:
        return 1


def test_a_socket_that_is_given_up_is_closed_though_more_and_more_comes() -> None:
    bench = Bench(None)
    endless = Endless(0, [])
    endless.most_held = 10 * BURST
    bench.receiver.sockets.add(1, cast(SubSocket, endless))
    bench.receiver.sockets.retire(1)

    while bench.receiver.sockets.retired:
        bench.receiver.fetch()

    assert endless.closed
    assert 10 * BURST <= endless.number <= 12 * BURST

"""What a publisher keeps of a topic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.recovery_messages import REPLY_MAX_BYTES, REPLY_MAX_EVENTS
from pubsub_publisher.topics.history import History


@given(
    st.lists(st.integers(0, 30), max_size=60),
    st.integers(1, 10),
    st.integers(1, 100),
)
def test_the_last_events_are_kept_within_both_limits(
    sizes: list[int], limit: int, limit_bytes: int
) -> None:
    history = History(limit, limit_bytes)
    sent = []
    for number, size in enumerate(sizes):
        sent.append((number, b"x" * size))
        history.add(number, [(number, b"x" * size)])

    # The longest end of the sent events that fits, but at least one event.
    kept = sent[-limit:]
    while len(kept) > 1 and sum(len(payload) for _, payload in kept) > limit_bytes:
        del kept[0]
    first, stamps_ns, payloads = history.select(0, len(sent))
    assert list(zip(stamps_ns, payloads, strict=True)) == kept
    assert first == len(sent) - len(kept)
    assert (history.first, history.end, len(history)) == (first, len(sent), len(kept))


@given(st.integers(0, 30), st.integers(1, 20), st.integers(0, 40), st.integers(0, 40))
def test_a_part_is_what_is_kept_of_what_is_asked_for(
    sent: int, limit: int, first: int, more: int
) -> None:
    history = History(limit, 2**30)
    for number in range(sent):
        history.add(number, [(number, b"%d" % number)])

    start, stamps_ns, payloads = history.select(first, first + more)

    wanted = [
        number
        for number in range(max(0, sent - limit), sent)
        if first <= number <= first + more
    ]
    assert stamps_ns == wanted
    assert payloads == [b"%d" % number for number in wanted]
    assert start == (wanted[0] if wanted else max(first, sent))


def test_a_part_has_so_many_events_and_bytes_at_most() -> None:
    small, large, huge = (History(10**6, 2**30) for _ in range(3))
    for number in range(1000):
        small.add(number, [(number, b"")])
    for number in range(3):
        large.add(number, [(number, bytes(REPLY_MAX_BYTES // 2))])
        huge.add(number, [(number, bytes(REPLY_MAX_BYTES + 1))])

    assert small.select(10, 999) == (
        10,
        list(range(10, 10 + REPLY_MAX_EVENTS)),
        [b""] * REPLY_MAX_EVENTS,
    )
    assert large.select(0, 2)[1] == [0, 1]
    assert huge.select(1, 2)[1] == [1]


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=5), max_size=8),
    st.integers(1, 6),
    st.integers(1, 60),
)
def test_adding_again_changes_nothing(
    sizes: list[list[int]], limit: int, limit_bytes: int
) -> None:
    once, twice = History(limit, limit_bytes), History(limit, limit_bytes)
    number = 0
    for part in sizes:
        events = [(number, b"x" * size) for size in part]
        once.add(number, events)
        twice.add(number, events)
        twice.add(number, events)
        number += len(events)

    assert twice.select(0, number) == once.select(0, number)
    assert len(twice) == len(once)

"""The bytes that wait for peers that do not read: bounded per peer, per address, and in
total."""

from __future__ import annotations

from pubsub_broker.limits.unread_replies import (
    MESSAGE_OVERHEAD,
    UnreadLimits,
    UnreadReplies,
)

HOST = "10.0.0.1"
OTHER = "10.0.0.2"
KIB = 1024
LIMITS = UnreadLimits(connection=100 * KIB, address=200 * KIB, total=300 * KIB)


def filled(*sizes: tuple[bytes, str, int]) -> UnreadReplies:
    it = UnreadReplies(LIMITS)
    for peer, address, size in sizes:
        it.sent(peer, address, size)
    return it


def test_a_connection_that_has_little_is_not_looked_at() -> None:
    it = filled((b"a", HOST, 1000))

    assert it.held(b"a", HOST) == 1000 + MESSAGE_OVERHEAD
    assert it.suspects(b"a", HOST) == []
    assert it.excess(b"a", HOST) == []


def test_a_connection_beyond_its_bound_is_to_be_closed_unless_it_has_read() -> None:
    it = filled((b"a", HOST, 101 * KIB))

    assert it.suspects(b"a", HOST) == [(b"a", HOST)]
    assert it.excess(b"a", HOST) == [(b"a", HOST)]

    it.update(b"a", HOST, 50 * KIB)
    assert it.excess(b"a", HOST) == []
    assert it.total == 50 * KIB

    it.update(b"a", HOST)
    assert (it.total, it.held(b"a", HOST)) == (0, 0)
    it.update(b"a", HOST)  # is gone as well
    assert it.total == 0


def test_small_messages_count_for_more_than_their_bytes() -> None:
    it = filled(*[(b"a", HOST, 0)] * 1000)

    assert it.excess(b"a", HOST) == [(b"a", HOST)]


def test_of_an_address_beyond_its_bound_the_oldest_make_room() -> None:
    many = [(b"%d" % number, HOST, 50 * KIB) for number in range(5)]
    it = filled(*many, (b"other", OTHER, 20 * KIB))

    assert set(it.suspects(b"4", HOST)) == {(peer, HOST) for peer, _, _ in many}
    assert it.excess(b"4", HOST) == [(b"0", HOST), (b"1", HOST), (b"2", HOST)]
    assert it.excess(b"other", OTHER) == []


def test_beyond_the_bound_of_all_the_address_with_most_makes_room() -> None:
    it = filled(
        (b"other", OTHER, 90 * KIB),
        (b"1", HOST, 90 * KIB),
        (b"2", HOST, 90 * KIB),
        (b"third", "10.0.0.3", 60 * KIB),
    )

    assert len(it.suspects(b"fourth", "10.0.0.4")) == 4
    assert it.excess(b"fourth", "10.0.0.4") == [(b"1", HOST), (b"2", HOST)]


def test_who_has_read_and_gets_more_is_youngest_again() -> None:
    it = filled((b"1", HOST, 99 * KIB), (b"2", HOST, 99 * KIB))
    it.update(b"1", HOST)
    it.sent(b"1", HOST, 99 * KIB)
    it.sent(b"3", HOST, 9 * KIB)

    assert it.excess(b"3", HOST) == [(b"2", HOST)]

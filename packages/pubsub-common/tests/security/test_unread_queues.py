"""Which connections have too much waiting for them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security import unread_queues
from pubsub_common.security.connections import (
    Connection,
    Written,
    written_through,
)
from pubsub_common.security.unread_queues import (
    UnreadLook,
    UnreadQueues,
    memory_bytes,
    unread_line,
)

MIB = 2**20
BOUNDS = QueueBounds(bytes_each=64 * MIB, bytes_total=256 * MIB)
SLOW = Connection(5, ("10.0.0.5", 5000), 7000)
OTHER = Connection(6, ("10.0.0.6", 6000), 7000)
# The kernel has sent all; it cannot.
SENT, STUCK = 0, MIB


class Bench:
    """A socket with a number of sent bytes, and the bytes written to its connections."""

    def __init__(self) -> None:
        self.queues = UnreadQueues(BOUNDS)
        self.memory = 20 * MIB
        self.sent = 0
        self.written = {SLOW: 0, OTHER: 0}

    def look(self, **unsent: int) -> list[Connection]:
        of = {SLOW: unsent.get("slow", SENT), OTHER: unsent.get("other", SENT)}
        looked = [(each, Written(self.written[each], of[each])) for each in of]
        return [
            unread.connection
            for unread in self.queues.look(self.sent, self.memory, looked)
        ]

    def send(self, size: int, *, to: tuple[Connection, ...] = (OTHER,)) -> None:
        """An event of this size is sent, and written to these connections."""
        self.sent += size
        for connection in to:
            self.written[connection] += size
        if SLOW not in to:
            self.memory += size


def test_who_stops_is_found_when_more_than_the_limit_waits() -> None:
    bench = Bench()
    bench.send(100 * MIB, to=(SLOW, OTHER))
    assert bench.look() == []
    for _ in range(8):
        bench.send(8 * MIB)
        assert bench.look(slow=STUCK) == []

    bench.send(8 * MIB)
    assert bench.look(slow=STUCK) == [SLOW]


def test_what_was_written_to_it_does_not_wait() -> None:
    bench = Bench()
    bench.look()
    bench.memory += 40 * MIB
    for _ in range(100):
        bench.send(8 * MIB, to=(SLOW, OTHER))
        assert bench.look(slow=STUCK, other=STUCK) == []


def test_who_has_caught_up_begins_anew() -> None:
    bench = Bench()
    bench.look()
    for _ in range(5):
        bench.send(60 * MIB)
        assert bench.look(slow=STUCK) == []
        bench.written[SLOW] += 60 * MIB
        bench.memory -= 60 * MIB
        assert bench.look() == []


def test_who_wants_little_is_left_in_peace_while_the_memory_does_not_grow() -> None:
    bench = Bench()
    bench.look()
    for _ in range(100):
        bench.send(8 * MIB)
        bench.memory = 25 * MIB  # small events wait for the slow one
        assert bench.look(slow=STUCK) == []


def test_a_new_connection_is_not_blamed_for_what_was_before_it() -> None:
    bench = Bench()
    bench.send(500 * MIB)
    bench.memory += 500 * MIB

    assert bench.look(slow=STUCK) == []
    bench.send(60 * MIB)
    assert bench.look(slow=STUCK) == []
    bench.send(8 * MIB)
    assert bench.look(slow=STUCK) == [SLOW]


def test_of_many_that_are_within_their_limit_the_worst_goes_when_the_total_is_not() -> (
    None
):
    bench = Bench()
    bench.look()
    bench.send(60 * MIB)
    bench.written[OTHER] -= 10 * MIB
    assert bench.look(slow=STUCK, other=STUCK) == []

    bench.memory += 256 * MIB  # others
    assert bench.look(slow=STUCK, other=STUCK) == [SLOW]


def test_one_for_which_less_waits_stays_while_another_explains_the_memory() -> None:
    """It wants a part of the events, so more seems to wait for it than does."""
    bench = Bench()
    bench.look()
    for _ in range(8):
        bench.send(8 * MIB, to=())
        bench.written[OTHER] += MIB // 8
        assert bench.look(slow=STUCK, other=STUCK) == []
    bench.send(8 * MIB, to=())

    assert bench.look(slow=STUCK, other=STUCK) == [SLOW]


def test_all_are_found_that_fill_the_memory_together() -> None:
    bench = Bench()
    bench.look()
    bench.send(60 * MIB, to=())
    assert bench.look(slow=STUCK, other=STUCK) == []
    bench.send(10 * MIB, to=())
    bench.memory += 70 * MIB  # they do not share it

    assert bench.look(slow=STUCK, other=STUCK) == [SLOW, OTHER]


def test_memory_that_is_kept_when_nothing_waits_blames_nobody_later() -> None:
    bench = Bench()
    bench.look()
    bench.send(60 * MIB)
    assert bench.look(slow=STUCK) == []
    bench.written[SLOW] += 60 * MIB
    assert bench.look() == []  # the memory is not given back
    for _ in range(20):
        bench.send(8 * MIB)
        bench.memory -= 8 * MIB  # they are of topics that it does not want
        assert bench.look(slow=STUCK) == []


def test_a_descriptor_that_is_used_again_is_another_connection() -> None:
    bench = Bench()
    bench.look()
    bench.send(60 * MIB)
    bench.look(slow=STUCK)
    again = SLOW._replace(remote=("10.0.0.5", 5001))
    bench.send(60 * MIB)

    looked = [(again, Written(0, STUCK))]
    assert bench.queues.look(bench.sent, bench.memory, looked) == []


# The kernel's own words


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket, int]]:
    """Both ends of a connection, and the port of the first."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as far:
            near, _ = server.accept()
            with near:
                near.setblocking(False)
                yield near, far, port


def fill(near: socket.socket) -> int:
    """Write until the kernel takes no more; how much."""
    written = 0
    while True:
        try:
            written += near.send(bytes(65536))
        except BlockingIOError:
            return written


def test_the_kernel_tells_what_was_written_and_what_it_could_not_send(
    pair: tuple[socket.socket, socket.socket, int],
) -> None:
    near, far, port = pair
    size = fill(near)

    [(connection, found)] = written_through(port)
    assert connection.remote == far.getsockname()
    assert connection.fd == near.fileno()
    assert abs(found.bytes - size) <= 1  # the kernel counts the handshake too
    assert 0 < found.unsent < size


def test_a_connection_that_is_gone_has_nothing_waiting(
    pair: tuple[socket.socket, socket.socket, int],
) -> None:
    near, _, port = pair
    near.close()

    assert written_through(port) == []


def test_a_look_is_due_after_an_eighth_of_the_limit_and_no_more_than_20_times_a_second(
    pair: tuple[socket.socket, socket.socket, int],
) -> None:
    near, _, port = pair
    look = UnreadLook(BOUNDS)
    assert look.due_s(8 * MIB - 1, 10.0) is None
    assert look.due_s(8 * MIB, 10.0) == 0.0

    assert look.look(port, 8 * MIB, MIB, 10.0) == []

    assert look.due_s(15 * MIB, 10.0) is None
    pause_s = look.due_s(16 * MIB, 10.0)
    assert pause_s is not None
    assert pause_s >= 0.05
    assert look.due_s(16 * MIB, 10.0 + pause_s) == 0.0
    assert near.fileno() >= 0


def test_a_look_in_which_the_thread_was_suspended_does_not_delay_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_s = 0.0

    def suspended(_port: int) -> list[tuple[Connection, Written]]:
        nonlocal passed_s
        passed_s += 3.0
        return []

    monkeypatch.setattr(unread_queues, "written_through", suspended)
    monkeypatch.setattr(time, "monotonic", lambda: passed_s)
    look = UnreadLook(BOUNDS)

    look.look(7000, 8 * MIB, MIB, 10.0)

    pause_s = look.due_s(8 * MIB, 10.0, again=True)
    assert passed_s == 3.0
    assert pause_s is not None
    assert pause_s < 3.0


def test_the_memory_of_this_process_is_known() -> None:
    assert memory_bytes() > MIB


def test_what_is_said_of_one_that_does_not_read() -> None:
    bench = Bench()
    bench.look()
    bench.send(65 * MIB)
    [unread] = bench.queues.look(bench.sent, bench.memory, [(SLOW, Written(0, STUCK))])

    line = unread_line("subscriber", unread)

    assert "subscriber at 10.0.0.5:5000 is not reading: 65 MiB" in line
    assert "--queue-bytes" in line

"""When libzmq's proxy may forward for sockets that wait."""

from __future__ import annotations

import itertools

from pubsub_broker.forwarding.calm_traffic import LEAST_QUEUE, CalmTraffic

QUEUE = 8000
LOOK_S = 0.05


class Traffic:
    """Looks, one after the other."""

    def __init__(self, limit: int = QUEUE, *, check_s: float = 0.0) -> None:
        times = itertools.count(step=check_s)
        self.traffic = CalmTraffic(limit, clock=lambda: next(times))
        self.now = 100.0
        self.count = 0
        self.checks = 0
        self.stalled = False

    def _stalled(self) -> bool:
        self.checks += 1
        return self.stalled

    def look(self, messages: int = 0, *, waits: bool = False) -> bool:
        self.now += LOOK_S
        self.count += messages
        return self.traffic.look(
            self.count, self.now, waits=waits, stalled=self._stalled
        )


def test_at_rest_it_is_calm_without_checks() -> None:
    traffic = Traffic()

    assert all(traffic.look() for _ in range(1000))
    assert traffic.checks == 0


def test_few_messages_are_calm_with_rare_checks() -> None:
    traffic = Traffic()

    assert all(traffic.look(50) for _ in range(1000))
    assert 20 <= traffic.checks <= 25


def test_many_messages_between_two_looks_are_not_calm() -> None:
    traffic = Traffic()

    assert not traffic.look(QUEUE // 8 + 1)
    assert not traffic.look(QUEUE // 8 + 1)
    assert traffic.look(1)


def test_a_message_that_waits_is_not_calm() -> None:
    traffic = Traffic()

    assert not traffic.look(waits=True)
    assert traffic.look()


def test_one_who_stops_reading_ends_the_calm_before_the_queue_is_full() -> None:
    traffic = Traffic()
    traffic.stalled = True
    while traffic.look(QUEUE // 16):
        pass

    assert traffic.count < QUEUE / 2
    assert not traffic.look()

    traffic.stalled = False
    assert traffic.look()


def test_a_check_that_takes_long_is_rarely_repeated() -> None:
    times = iter(range(100))
    slow = CalmTraffic(QUEUE, clock=lambda: float(next(times)))
    checks = []

    def stalled() -> bool:
        checks.append(1)
        return True

    slow.look(0, 0.0, waits=True, stalled=stalled)
    for number in range(300):
        slow.look(0, 1 + number * LOOK_S, waits=False, stalled=stalled)

    assert len(checks) == 1  # 15 s, and a check takes one


def test_short_queues_are_never_calm() -> None:
    traffic = Traffic(LEAST_QUEUE - 1)

    assert not traffic.traffic.calm
    assert not traffic.look()


def test_between_two_slow_checks_the_queue_does_not_fill() -> None:
    traffic = Traffic(check_s=1.0)
    while not traffic.checks:
        traffic.look(QUEUE // 16)
    checked_at = traffic.count
    traffic.stalled = True

    while traffic.look(QUEUE // 16):
        pass

    assert traffic.checks == 1
    assert traffic.count - checked_at < QUEUE

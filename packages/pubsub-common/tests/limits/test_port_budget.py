"""Which connections of a port are to be closed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pubsub_common.defaults import (
    FIRST_SUBSCRIPTION_S,
    QUESTION_BYTES_PER_SECOND,
    SUBSCRIPTION_BYTES,
    SUBSCRIPTIONS,
)
from pubsub_common.limits.held_subscriptions import Known
from pubsub_common.limits.port_budget import Closing, PortBudget, Reason
from pubsub_common.limits.port_limits import (
    Subscriptions,
    limits_of_port,
    needed_for,
)

HANDSHAKE = 92
LOOK_S = 0.02
STRANGER, OTHER = "192.0.2.1", "192.0.2.2"


class Port:
    """A port from the view of its guard: the input of each connection, and the number of
    subscriptions."""

    def __init__(self, *, secure: bool = False) -> None:
        self.budget = PortBudget(limits_of_port(100, secure=secure))
        self.handshake = 551 if secure else HANDSHAKE
        self.now = 0.0
        self.total = 0
        self.received: dict[int, int] = {}
        self.known: dict[int, Known] | None = {} if secure else None
        self.held: dict[int, int] = {}

    def accept(self, fd: int, address: str = STRANGER) -> list[Closing]:
        self.received[fd] = self.handshake
        self.held[fd] = 0
        return self.budget.accept(fd, address, self.now)

    def look(self, *flows: tuple[int, int, int]) -> list[Closing]:
        """Next look: through ``fd`` so many bytes have come in, and as many subscriptions
        more, or fewer, are there."""
        self.now += LOOK_S
        for fd, size, held in flows:
            self.received[fd] += size
            self.held[fd] += held
            self.total += held
        told = {fd: self.received[fd] for fd, _, _ in flows}
        known = None if self.known is None else self.known.get
        found = self.budget.look(told, self.total, self.now, known)
        for closing in found:
            self.total -= self.held.pop(closing.fd)
        return found

    def flood(
        self, fd: int, each: int, number: int, *, portion: int = 1000
    ) -> list[Closing]:
        """``number`` subscriptions of so many bytes each; until it is closed."""
        for _ in range(0, number, portion):
            if found := self.look((fd, each * portion, portion)):
                return found
        return []


def reasons(closings: Iterable[Closing]) -> list[tuple[int, Reason]]:
    return [(closing.fd, closing.reason) for closing in closings]


def test_a_flood_of_subscriptions_is_closed_whether_they_are_long_or_short() -> None:
    for each in (7, 24, 250):
        port = Port()
        port.accept(3)
        number = min(SUBSCRIPTIONS, SUBSCRIPTION_BYTES // each)

        assert port.flood(3, each, number - 1000) == []
        assert reasons(port.flood(3, each, 100_000)) == [(3, Reason.SUBSCRIPTIONS)]


def test_a_subscriber_of_as_many_topics_as_there_may_be_is_served() -> None:
    port = Port()
    for fd, name in ((3, 24), (4, 255)):
        need = needed_for(4096, 4096 * name)
        port.accept(fd, f"192.0.2.{fd}")
        port.budget.declare(need, port.now)
        # All subscriptions at once, and then again and again a question for each topic.
        wire = 3 * name + 59
        assert port.flood(fd, wire // 3 + 1, 3 * 4096, portion=4096) == []
        for _ in range(3):
            assert port.look((fd, 4096 * (name + 78), 4096)) == []
            assert port.look((fd, 4096 * (name + 77), -4096)) == []
            port.now += 4096 * 2 * (name + 78) / QUESTION_BYTES_PER_SECOND


def test_questions_that_are_taken_back_are_not_held() -> None:
    port = Port()
    port.accept(3)
    port.look((3, 2000, 20))

    for _ in range(5_000):  # each a second apart
        port.now += 1.0
        assert port.look((3, 120, 1)) == []
        assert port.look((3, 120, -1)) == []
        assert port.look() == []


def test_a_loop_of_subscribing_and_unsubscribing_is_closed() -> None:
    port = Port()
    port.accept(3)
    found: list[Closing] = []
    for _ in range(1000):
        found = port.look((3, 200_000, 0))
        if found:
            break

    assert reasons(found) == [(3, Reason.FLOW)]
    assert port.now < 1.0


def test_a_flood_does_not_cost_others_their_connections() -> None:
    port = Port()
    for fd in range(10, 30):
        port.accept(fd)
        port.look((fd, 200, 2))
    port.accept(3)
    while not (found := port.look((3, 100_000, 400), (12, 300, 2), (13, 90, 1))):
        pass

    assert reasons(found) == [(3, Reason.SUBSCRIPTIONS)]
    assert port.look((12, 300, 2)) == []


def test_after_a_flood_new_connections_of_its_address_are_small() -> None:
    port = Port()
    port.accept(3)
    port.flood(3, 250, 100_000)
    assert reasons(port.accept(4)) == [
        (4, Reason.AFTER_FLOOD)
    ]  # before it says anything
    assert port.accept(6, OTHER) == []
    port.now += 1.0

    assert port.accept(4) == []
    assert port.look((4, 2000, 20)) == []  # an honest one
    assert port.accept(5) == []
    assert reasons(port.flood(5, 250, 1000, portion=50)) == [(5, Reason.FLOW)]
    assert port.look((6, 20_000, 200)) == []
    # Connections from before the flood stay open.
    port.now += 31.0
    port.accept(7)
    assert port.look((7, 20_000, 200)) == []


def test_who_declares_its_topics_is_no_flood() -> None:
    port = Port()
    port.accept(3)
    assert reasons(port.flood(3, 250, 100_000)) == [(3, Reason.SUBSCRIPTIONS)]
    port.budget.declare(needed_for(4096, 4096 * 200), port.now)
    port.accept(4)

    assert port.flood(4, 250, 3 * 4096) == []


def test_the_broker_is_asked_before_somebody_who_may_be_registered_is_closed() -> None:
    port = Port()
    port.accept(3)
    assert port.flood(3, 30, 8000, portion=500) == []
    assert port.budget.asks

    port.budget.declare(needed_for(4096, 4096 * 10), port.now)
    port.now += 1.0

    assert port.flood(3, 30, 4000, portion=500) == []


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    port = Port()
    port.accept(3)
    assert port.flood(3, 30, 8000, portion=500) == []
    port.now += 0.6

    assert reasons(port.look((3, 30, 1))) == [(3, Reason.SUBSCRIPTIONS)]


def test_only_so_much_is_taken_in_meanwhile() -> None:
    port = Port()
    port.accept(3)

    assert reasons(port.flood(3, 250, 100_000, portion=100)) == [
        (3, Reason.SUBSCRIPTIONS)
    ]
    assert port.now < 1.0
    assert 250 * port.total <= 4 * SUBSCRIPTION_BYTES


def test_less_demand_counts_after_a_minute() -> None:
    port = Port()
    port.budget.declare(needed_for(4096, 4096 * 200), port.now)
    port.now += 1.0
    port.budget.declare(Subscriptions(0, 0), port.now)  # the broker was restarted
    port.accept(3)
    assert port.flood(3, 250, 3 * 4096) == []
    port.budget.end(3)
    port.now += 61.0
    port.budget.declare(Subscriptions(0, 0), port.now)
    port.accept(4)
    assert reasons(port.flood(4, 250, 3 * 4096)) == [(4, Reason.SUBSCRIPTIONS)]


def test_many_connections_of_one_address_have_one_budget() -> None:
    port = Port()
    for fd in range(100, 200):
        port.accept(fd)
    for fd in range(100, 200):
        port.flood(fd, 250, 1000, portion=100)

    most = SUBSCRIPTION_BYTES // 12 + 100 * 512
    assert 250 * port.total < most + 100 * 250


def test_many_honest_connections_of_one_address_are_served() -> None:
    port = Port()
    port.budget = PortBudget(limits_of_port(5000, secure=False))
    for fd in range(100, 5100):
        assert port.accept(fd) == []
    for start in range(100, 5100, 500):
        flows = [(fd, 500, 8) for fd in range(start, start + 500)]
        assert port.look(*flows) == []


def test_an_address_may_have_only_so_many_connections() -> None:
    port = Port()
    allowed = port.budget._limits.connections
    for fd in range(allowed):
        assert port.accept(fd) == []

    assert reasons(port.accept(5000)) == [(5000, Reason.CONNECTIONS)]
    assert port.accept(5001, OTHER) == []
    port.budget.end(0)
    assert port.accept(5002) == []


def test_who_subscribes_to_nothing_is_closed_in_time() -> None:
    port = Port()
    port.accept(3)
    port.now += 1.0
    port.accept(4)
    port.accept(5)
    port.look((4, 10, 1))

    assert port.budget.next_deadline() == FIRST_SUBSCRIPTION_S
    assert port.budget.unseen(FIRST_SUBSCRIPTION_S) == [3]
    assert reasons(port.budget.silent(FIRST_SUBSCRIPTION_S)) == [(3, Reason.SILENT)]
    assert reasons(port.budget.silent(99.0)) == [(5, Reason.SILENT)]
    assert port.budget.next_deadline() is None


@pytest.mark.parametrize(
    ("received", "sent", "stays"),
    [
        pytest.param(24, 14, True, id="ZMTP 2"),
        pytest.param(24, 500, True, id="ZMTP 2, events"),
        pytest.param(14, 14, False, id="ZMTP 2, nothing"),
        pytest.param(92, 93, False, id="ZMTP 3, nothing"),
        pytest.param(93, 93, True, id="ZMTP 3"),
        pytest.param(0, 10, False, id="no handshake"),
    ],
)
def test_who_subscribes_by_zmtp_2_sends_less_than_a_handshake_of_zmtp_3(
    received: int, sent: int, stays: bool
) -> None:
    port = Port()
    port.accept(3)
    port.budget.look({3: received}, None, port.now)
    port.budget.sent(3, sent)

    assert (not port.budget.silent(FIRST_SUBSCRIPTION_S)) == stays


def test_the_oldest_idle_connection_goes_when_files_run_out() -> None:
    port = Port()
    for fd in (3, 4, 5, 6):
        port.accept(fd, OTHER if fd == 6 else STRANGER)
        port.now += 1.0
    for fd in (3, 5, 6):
        port.look((fd, 20, 1))

    assert reasons(port.budget.spare({})) == [(4, Reason.FILES)]
    idle = {3: 7.0, 5: 9.0, 6: 99.0}
    assert reasons(port.budget.spare(idle)) == [(5, Reason.FILES)]
    assert port.budget.spare({}) == []


def test_a_forwarder_subscribes_for_all_others() -> None:
    port = Port()
    port.accept(3)
    port.look((3, 40, 1))
    port.budget.trust(3)
    port.accept(4)

    assert port.flood(3, 100, 10_000, portion=1000) == []
    assert reasons(port.flood(4, 250, 100_000)) == [(4, Reason.SUBSCRIPTIONS)]


def test_what_is_known_is_not_estimated() -> None:
    port = Port(secure=True)
    assert port.known is not None
    port.accept(3)
    for number in range(1, 100):
        # All that came in was looked at, and most of it taken back.
        size = number * 20_000
        port.known[3] = Known(Subscriptions(50, 4000), size)
        assert port.look((3, 20_000, 400)) == []
        port.now += 1.0

    port.accept(4)
    port.known[4] = Known(Subscriptions(4 * SUBSCRIPTIONS + 1, 100_000), 300_000)
    assert reasons(port.look((4, 300_000, 0))) == [(4, Reason.SUBSCRIPTIONS)]


def test_what_nobody_has_looked_at_counts_as_held() -> None:
    port = Port(secure=True)
    port.accept(3)

    found = port.look((3, 4 * SUBSCRIPTION_BYTES + 1000, 0))
    assert reasons(found) == [(3, Reason.SUBSCRIPTIONS)]


def test_the_end_of_a_connection_is_nobody_elses_gain() -> None:
    port = Port()
    port.accept(3)
    port.flood(3, 24, 3000)
    port.budget.end(3)
    port.accept(4)
    port.flood(4, 24, 3000)
    # libzmq forgets what the first had only now.
    port.look((4, 24, 1 - 3000))

    assert reasons(port.flood(4, 24, 100_000)) == [(4, Reason.SUBSCRIPTIONS)]
    assert port.total < SUBSCRIPTIONS + 1000


def test_what_a_silent_flood_holds_is_not_put_down_to_others() -> None:
    port = Port()
    port.budget.declare(needed_for(4096, 4096 * 20), port.now)
    for fd in range(100, 110):
        port.accept(fd)
        port.flood(fd, 250, 400, portion=100)
    port.accept(3)
    port.look((3, 200, 2))
    port.budget.end(100)
    for _ in range(70):  # the earlier declaration no longer counts
        port.now += 1.0
        port.budget.declare(Subscriptions(0, 0), port.now)
        for closing in port.look((3, 60, 1), (3, 60, -1)):
            assert closing.fd != 3

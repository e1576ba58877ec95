"""The leases of a broker's own clients, case by case and against a plain dictionary."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from support.rings import examples

from pubsub_broker.control.own_leases import OwnLeases

LEASE_S = 6.0


@pytest.fixture
def leases() -> OwnLeases:
    return OwnLeases(LEASE_S)


def test_a_lease_ends_exactly_at_its_end(leases: OwnLeases) -> None:
    leases.begin(1, 10.0)

    assert leases.next_expiry() == 16.0
    assert leases.expire(15.999) == []
    assert leases.expire(16.0) == [1]
    assert leases.next_expiry() is None


def test_the_time_of_the_next_expiry_is_when_expire_finds_one(
    leases: OwnLeases,
) -> None:
    leases.begin(1, 0.1 + 0.2)  # a fraction that floats cannot represent exactly

    due = leases.next_expiry()

    assert due is not None
    assert leases.expire(due) == [1]


def test_a_renewed_lease_lasts_longer(leases: OwnLeases) -> None:
    leases.begin(1, 0.0)
    leases.begin(2, 1.0)

    assert leases.renew(1, 5.0)
    assert leases.next_expiry() == 7.0
    assert leases.expire(10.999) == [2]
    assert leases.expire(11.0) == [1]
    assert not leases.renew(1, 11.0)


def test_a_lease_may_begin_again_and_end_before_its_time(leases: OwnLeases) -> None:
    leases.begin(1, 0.0)
    leases.begin(2, 1.0)
    leases.begin(1, 2.0)
    leases.end(3)

    assert leases.expire(7.0) == [2]
    leases.end(1)
    assert leases.expire(1e9) == []


def test_many_leases_end_at_once(leases: OwnLeases) -> None:
    for session in range(1000):
        leases.begin(session, 0.0)

    assert leases.expire(LEASE_S) == list(range(1000))


def test_only_leases_whose_time_is_over_are_extended(leases: OwnLeases) -> None:
    leases.begin(1, 0.0)
    leases.begin(2, 5.0)

    leases.extend(7.0)

    assert leases.next_expiry() == 11.0
    assert leases.expire(11.0) == [2]
    assert leases.expire(13.0) == [1]


SESSIONS = st.integers(0, 7)


class LeaseMachine(RuleBasedStateMachine):
    """`OwnLeases` and a dictionary that is searched completely."""

    def __init__(self) -> None:
        super().__init__()
        self.leases = OwnLeases(LEASE_S)
        self.model: dict[int, float] = {}
        self.now = 0.0

    @rule(session=SESSIONS)
    def begin(self, session: int) -> None:
        self.leases.begin(session, self.now)
        self.model[session] = self.now

    @rule(session=SESSIONS)
    def end(self, session: int) -> None:
        self.leases.end(session)
        self.model.pop(session, None)

    @rule(session=SESSIONS)
    def renew(self, session: int) -> None:
        assert self.leases.renew(session, self.now) == (session in self.model)
        if session in self.model:
            self.model[session] = self.now

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 5.9, 6.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        due = {each: at for each, at in self.model.items() if at + LEASE_S <= self.now}
        gone = self.leases.expire(self.now)

        assert sorted(gone) == sorted(due)
        ends = [due[session] for session in gone]
        assert ends == sorted(ends)
        for session in gone:
            del self.model[session]

    @precondition(lambda self: self.model)
    @rule()
    def expire_at_the_announced_time(self) -> None:
        due = self.leases.next_expiry()
        assert due is not None
        self.now = max(self.now, due)
        before = len(self.model)
        self.expire()
        assert len(self.model) < before


LeaseMachine.TestCase.settings = settings(max_examples=examples(100))
TestLeases = LeaseMachine.TestCase

"""The leases of a broker: when they are granted and renewed, and when they are no
longer valid."""

from __future__ import annotations

from pubsub_broker.registry.etcd.leases import Leases

ALIVE, CLIENTS, LEFT = 11, 12, 13


def granted(now: float = 0.0) -> Leases:
    leases = Leases(3, 15)
    leases.granted("alive", ALIVE, 3, now)
    leases.granted("clients", CLIENTS, 15, now)
    return leases


def test_before_the_first_lease_a_broker_is_cut_off() -> None:
    leases = Leases(3, 15)
    assert leases.cut_off(0.0)
    assert leases.ids(0.0) == {}
    assert leases.to_grant(0.0, leaving=False) == {"alive": 3, "clients": 15}
    assert leases.next_deadline(5.0) == 5.0


def test_leases_are_renewed_in_one_request_three_times_in_the_shorter_ones_time() -> (
    None
):
    leases = granted()
    assert leases.to_renew(0.0) == [ALIVE, CLIENTS]
    assert leases.renewed({ALIVE: 3, CLIENTS: 15}, sent_at=0.0) == []
    assert leases.next_deadline(0.0) == 1.0
    assert leases.to_renew(0.9) == []
    assert leases.to_renew(1.0) == [ALIVE, CLIENTS]


def test_a_broker_that_does_not_renew_in_time_is_cut_off_by_its_own_clock() -> None:
    leases = granted()
    leases.renewed({ALIVE: 3, CLIENTS: 15}, sent_at=10.0)
    assert not leases.cut_off(12.9)
    assert leases.cut_off(13.0)
    # etcd had kept it: a new leader gives each lease its full time.
    assert leases.renewed({ALIVE: 3, CLIENTS: 15}, sent_at=20.0) == []
    assert not leases.cut_off(20.0)


def test_a_lease_counts_from_when_it_was_asked_for_and_an_answer_out_of_turn_takes_nothing() -> (
    None
):
    leases = granted()
    leases.renewed({ALIVE: 3, CLIENTS: 15}, sent_at=10.0)
    leases.renewed({ALIVE: 3, CLIENTS: 15}, sent_at=9.0)
    assert not leases.cut_off(12.5)


def test_a_lease_that_is_gone_has_to_be_granted_anew() -> None:
    leases = granted()
    assert leases.renewed({ALIVE: 0, CLIENTS: 15}, sent_at=30.0) == ["alive"]
    assert leases.cut_off(30.0)
    assert leases.ids(30.0) == {"clients": CLIENTS}
    assert leases.to_grant(30.0, leaving=False) == {"alive": 3}
    assert leases.renewed({CLIENTS: 0}, sent_at=50.0) == ["clients"]


def test_etcd_may_give_a_lease_more_time() -> None:
    leases = Leases(1, 15)
    leases.granted("alive", ALIVE, 2, 0.0)
    assert not leases.cut_off(1.9)


def test_the_lease_of_those_that_left_is_another_one_now_and_then() -> None:
    leases = granted()
    assert leases.to_grant(0.0, leaving=True) == {"left": 90}
    leases.granted("left", LEFT, 90, 0.0)
    assert leases.ids(29.0)["left"] == LEFT
    assert leases.to_renew(0.0) == [ALIVE, CLIENTS]
    assert "left" not in leases.ids(30.0)
    assert leases.to_grant(30.0, leaving=False) == {}
    assert leases.to_grant(30.0, leaving=True) == {"left": 90}


def test_a_lease_that_was_revoked_is_not_renewed() -> None:
    leases = granted()
    leases.forget("alive")
    assert leases.to_renew(0.0) == [CLIENTS]
    assert leases.cut_off(0.0)

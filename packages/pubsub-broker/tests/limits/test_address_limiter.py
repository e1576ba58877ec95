"""The limits of an address, and the effect of exceeding them."""

from __future__ import annotations

import pytest

from pubsub_broker.limits import address_limiter
from pubsub_broker.limits.address_limiter import AddressLimiter, Verdict
from pubsub_broker.limits.address_limits import LimitKind, limits_for
from pubsub_common import defaults
from pubsub_common.defaults import LOG_INTERVAL_S

HOST = "10.0.0.2"
OTHER = "10.0.0.3"
PEER = b"\0\1"
DEFAULTS = limits_for(
    defaults.MAX_CLIENTS // 2, defaults.REGISTRATIONS_PER_SECOND, defaults.LEASE_S
)


def judge(clients: int = 100, registrations_per_s: float = 10) -> AddressLimiter:
    return AddressLimiter(limits_for(clients, registrations_per_s, 6.0))


def register(
    it: AddressLimiter, now: float, address: str = HOST, peer: bytes = PEER
) -> Verdict:
    return it.request(address, peer, LimitKind.REGISTRATIONS, now)


# The needs of normal use


def test_a_thousand_subscribers_of_one_host_come_at_once_and_come_back() -> None:
    it = AddressLimiter(DEFAULTS)
    for again in range(5):  # the broker was restarted, and again
        for number in range(1000):
            peer = b"%d-%d" % (again, number)
            assert it.connected(HOST, float(again))
            assert it.message(HOST, peer, 200, float(again)) is Verdict.SERVE
            assert register(it, float(again), peer=peer) is Verdict.SERVE
            it.disconnected(HOST)

    assert it.tick(10.0) == []


def test_ten_thousand_registrations_of_one_host_at_once_are_served() -> None:
    it = AddressLimiter(DEFAULTS)
    for number in range(10_000):
        assert it.message(HOST, b"%d" % number, 200, 0.0) is Verdict.SERVE
        assert register(it, 0.0, peer=b"%d" % number) is Verdict.SERVE


@pytest.mark.parametrize("lease_s", [0.05, 6.0, 60.0])
def test_all_clients_of_an_address_may_renew_their_leases(lease_s: float) -> None:
    clients = defaults.MAX_CLIENTS // 2
    it = AddressLimiter(limits_for(clients, 1000.0, lease_s))
    for turn in range(20):
        now = turn * lease_s / defaults.HEARTBEATS_PER_LEASE
        for number in range(clients):
            assert it.message(HOST, b"%d" % number, 60, now) is Verdict.SERVE


# Beyond


def test_registrations_beyond_the_limit_are_for_later() -> None:
    it = judge(registrations_per_s=10)
    first = [register(it, 0.0, peer=b"%d" % n) for n in range(101)]

    assert first.count(Verdict.SERVE) == 100
    assert first[-1] is Verdict.REFUSE
    # A client with one request per second is served in the end, and never closed.
    peers = [b"late-%d" % n for n in range(30)]
    served: dict[bytes, float] = {}
    for second in range(1, 10):
        for peer in peers:
            if peer not in served:
                verdict = register(it, float(second), peer=peer)
                assert verdict is not Verdict.CLOSE
                if verdict is Verdict.SERVE:
                    served[peer] = float(second)
    assert set(served) == set(peers)


def test_others_do_not_pay_for_it() -> None:
    it = judge()
    for n in range(1000):
        register(it, 0.0, peer=b"%d" % n)

    assert register(it, 0.0, address=OTHER) is Verdict.SERVE
    assert it.message(OTHER, PEER, 100, 0.0) is Verdict.SERVE


def test_a_connection_that_does_not_stop_is_closed_and_what_it_sends_not_looked_at() -> (
    None
):
    it = judge()
    verdicts = [register(it, 0.0) for _ in range(151)]

    assert verdicts[:100] == [Verdict.SERVE] * 100
    assert verdicts[100:150] == [Verdict.REFUSE] * 50
    assert verdicts[150] is Verdict.CLOSE
    assert it.message(HOST, PEER, 10, 0.0) is Verdict.DROP
    assert it.message(HOST, PEER, 10, 1e9) is Verdict.DROP
    # Another connection of the address may send messages, but not register yet.
    assert it.message(HOST, b"other", 10, 0.0) is Verdict.SERVE
    assert register(it, 0.0, peer=b"other") is Verdict.REFUSE


def test_nonsense_has_a_limit_too() -> None:
    it = judge()
    verdicts = [it.request(HOST, PEER, LimitKind.MALFORMED, 0.0) for _ in range(1100)]

    assert verdicts.count(Verdict.SERVE) == 1000
    assert Verdict.CLOSE in verdicts


def test_status_reports_are_limited_by_their_length() -> None:
    it = judge()
    served = 0
    while it.request(HOST, PEER, LimitKind.STATUS, 0.0) is Verdict.SERVE:
        it.reported(HOST, 2**20, 0.0)
        served += 1

    assert 4 <= served <= 8
    assert it.request("10.0.0.9", b"other", LimitKind.STATUS, 0.0) is Verdict.SERVE
    assert it.request(HOST, b"third", LimitKind.STATUS, 2.0) is Verdict.SERVE


def test_messages_have_a_limit_whatever_they_are() -> None:
    it = judge()
    verdicts = [it.message(HOST, PEER, 10, 0.0) for _ in range(20_100)]

    assert verdicts.count(Verdict.SERVE) == 20_000
    assert verdicts[20_000] is Verdict.REFUSE
    assert verdicts[20_050] is Verdict.CLOSE
    assert set(verdicts[20_051:]) == {Verdict.DROP}


def test_long_messages_beyond_the_limit_end_a_connection_at_once() -> None:
    it = judge()
    verdicts = [it.message(HOST, PEER, 4 << 20, 0.0) for _ in range(17)]

    assert verdicts == [Verdict.SERVE] * 16 + [Verdict.CLOSE]


def test_connections_at_a_time_have_a_limit() -> None:
    it = judge(clients=100)
    allowed = 100 + 25 + 100
    assert all(it.connected(HOST, 0.0) for _ in range(allowed))

    assert not it.connected(HOST, 0.0)
    assert it.connected(OTHER, 0.0)
    for _ in range(2):
        it.disconnected(HOST)
    assert it.connected(HOST, 0.0)


def test_connections_a_second_have_a_limit() -> None:
    it = judge()
    made = 0
    for _ in range(2000):
        made += it.connected(HOST, 0.0)
        it.disconnected(HOST)

    assert made == 1000


def test_a_connection_that_nobody_knew_of_may_end() -> None:
    it = judge()
    it.disconnected(HOST)
    it.disconnected(HOST)

    assert it.connected(HOST, 0.0)


def test_an_address_that_reconnects_again_and_again_is_refused_sooner() -> None:
    it = judge()
    needed = []
    for connection in range(20):
        peer = b"%d" % connection
        for number in range(1, 300):
            if register(it, 0.0, peer=peer) is Verdict.CLOSE:
                needed.append(number)
                break

    # In addition, the first address had the burst.
    assert needed[0] == 151
    assert needed[1:] == sorted(needed[1:], reverse=True)
    assert (needed[1], needed[10], needed[-1]) == (26, 5, 3)


def test_connections_of_an_address_that_keeps_reconnecting_are_left_open_and_not_read() -> (
    None
):
    it = judge()

    def ends(peer: bytes, now: float) -> Verdict:
        while (verdict := register(it, now, peer=peer)) in (
            Verdict.SERVE,
            Verdict.REFUSE,
        ):
            pass
        return verdict

    verdicts = [ends(b"%d" % connection, 0.0) for connection in range(60)]

    assert verdicts == [Verdict.CLOSE] * 20 + [Verdict.DROP] * 40
    assert it.message(HOST, b"59", 10, 1.0) is Verdict.DROP
    # Another one in two seconds is closed.
    assert ends(b"later", 2.0) is Verdict.CLOSE
    assert ends(b"another", 2.0) is Verdict.DROP


# Log lines


def test_one_line_names_the_address_what_it_did_and_how_often() -> None:
    it = judge()
    for n in range(103):
        register(it, 0.0, peer=b"%d" % n)

    assert it.next_deadline() is not None
    [line] = it.tick(0.0)

    assert line == f"rate limit exceeded by {HOST}: rejected 3 registrations"


def test_there_is_one_line_per_interval_for_each_address() -> None:
    it = judge()
    for address in (HOST, OTHER):
        for _ in range(200):
            register(it, 0.0, address=address, peer=address.encode())
    assert len(it.tick(0.0)) == 2
    lines = []
    for tenth in range(1, round(LOG_INTERVAL_S * 10)):
        register(it, 0.0)
        lines += it.tick(tenth / 10)
    assert lines == []

    [line] = it.tick(LOG_INTERVAL_S)

    assert line.startswith(f"rate limit exceeded by {HOST}: rejected 99 registrations")
    assert it.tick(2 * LOG_INTERVAL_S) == []
    assert it.next_deadline() is None


def test_a_line_tells_how_many_connections_were_closed() -> None:
    it = judge()
    for peer in (b"1", b"2"):
        for _ in range(200):
            register(it, 0.0, peer=peer)
    for _ in range(3000):
        it.connected(HOST, 0.0)

    [line] = it.tick(0.0)

    assert "connections, " in line
    assert line.endswith("connections closed")


# Memory


def test_what_is_remembered_of_many_addresses_is_bounded() -> None:
    it = judge()
    for number in range(3 * address_limiter.MAX_ADDRESSES):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        it.connected(address, 0.0)
        for n in range(101):
            register(it, 0.0, address=address, peer=b"%d-%d" % (number, n % 2))

    assert len(it._addresses) == address_limiter.MAX_ADDRESSES
    assert len(it._refusals) <= address_limiter.MAX_CONNECTIONS
    assert len(it.tick(0.0)) == address_limiter.MAX_ADDRESSES
    assert not it._unlogged


def test_an_active_address_is_not_forgotten_for_others() -> None:
    it = judge()
    for _ in range(101):
        register(it, 0.0)
    for number in range(2 * address_limiter.MAX_ADDRESSES):
        it.message(f"10.1.{number >> 8}.{number & 255}", b"x", 10, 0.0)
        it.message(HOST, PEER, 10, 0.0)

    assert register(it, 0.0) is Verdict.REFUSE


# Work


def test_who_has_taken_long_is_served_later() -> None:
    it = AddressLimiter(DEFAULTS)
    it.worked(HOST, 0.3, 0.0)  # once may be chance
    assert it.may_work(HOST, PEER, 0.0) is Verdict.SERVE
    for _ in range(3):
        it.worked(HOST, 0.1, 0.0)

    assert it.may_work(HOST, PEER, 0.0) is Verdict.REFUSE
    assert it.may_work(HOST, PEER, 1.0) is Verdict.REFUSE
    assert it.may_work(OTHER, PEER, 1.0) is Verdict.SERVE
    assert it.may_work(HOST, PEER, 2.0) is Verdict.SERVE
    [line] = it.tick(2.0)
    assert line == (
        f"rate limit exceeded by {HOST}: rejected 2 requests (by processing time)"
    )


def test_so_much_work_at_once_is_for_one_address() -> None:
    it = AddressLimiter(DEFAULTS)
    served = 0
    while it.may_work(HOST, PEER, 0.0) is Verdict.SERVE and served < 100:
        it.worked(HOST, 0.02, 0.0)
        served += 1

    assert served == 6


def test_what_is_usual_is_not_counted() -> None:
    it = AddressLimiter(DEFAULTS)
    for _ in range(10_000):
        it.worked(HOST, 0.001, 0.0)

    assert it.may_work(HOST, PEER, 0.0) is Verdict.SERVE

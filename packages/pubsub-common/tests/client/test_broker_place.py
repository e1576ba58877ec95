"""Where the brokers of a client are, and which of them tells how others reach this host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pubsub_common.client import broker_place
from pubsub_common.client.broker_place import (
    BrokerPlace,
    BrokerPlaces,
    find_brokers,
    own_host,
)
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.net import addresses

WAIT_S = 60.0

Known = Callable[..., None]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Has the resolver know these names."""

    def know(**found: str) -> None:
        def resolve_all(host: str) -> list[str]:
            if host not in found:
                raise PubSubError(f"no IP address is known of {host!r}")
            return [found[host]]

        monkeypatch.setattr(addresses, "resolve_all", resolve_all)

    return know


def never() -> bool:
    return False


def test_addresses_are_not_looked_up(known: Known) -> None:
    known()
    found = find_brokers([("10.0.0.1", 1), ("[::1]", 2)], 0.0, stopped=never)
    assert found.given == ("10.0.0.1:1", "[::1]:2")
    assert found.host == "10.0.0.1"
    assert found.shown == "tcp://10.0.0.1:1, tcp://[::1]:2"


def test_a_name_beside_an_address_is_not_waited_for(known: Known) -> None:
    known()
    found = find_brokers([("lab1", 1), ("10.0.0.1", 2)], 0.0, stopped=never)
    assert found.current.name == "10.0.0.1:2"
    assert found.shown == "lab1:1, tcp://10.0.0.1:2"


def test_of_several_names_one_that_is_known_is_enough(known: Known) -> None:
    known(lab2="10.0.0.2")
    found = find_brokers([("lab1", 1), ("lab2", 2)], WAIT_S, stopped=never)
    assert found.host == "10.0.0.2"
    assert found.place("lab2:2").endpoint == "tcp://10.0.0.2:2"


def test_two_brokers_of_one_host_are_looked_up_once(known: Known) -> None:
    known(lab="10.0.0.1")
    found = find_brokers([("lab", 1), ("lab", 2)], 0.0, stopped=never)
    assert found.shown == "tcp://10.0.0.1:1, tcp://10.0.0.1:2"


def test_where_no_name_is_known_all_are_named(known: Known) -> None:
    known()
    with pytest.raises(PubSubError, match=r"'lab1'.*'lab2'|'lab2'.*'lab1'"):
        find_brokers([("lab1", 1), ("lab2", 2)], 0.2, stopped=never)


def test_a_search_for_names_ends_when_it_is_stopped(known: Known) -> None:
    known()
    with pytest.raises(NotReady, match="stopped before one of lab1, lab2 was known"):
        find_brokers([("lab1", 1), ("lab2", 2)], WAIT_S, stopped=lambda: True)


def test_a_name_that_appears_later_is_found(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_place, "LOOKUP_RETRY_S", 0.01)
    looks = iter([False, False])

    def stopped() -> bool:
        if next(looks, None) is None:
            known(lab1="10.0.0.1")
        return False

    known()
    found = find_brokers([("lab1", 1), ("lab2", 2)], WAIT_S, stopped=stopped)
    assert found.host == "10.0.0.1"


def test_how_others_reach_this_host_is_told_by_a_broker_elsewhere() -> None:
    places = BrokerPlaces.of("127.0.0.1:1", "192.0.2.1:1")
    assert places.peer() == "192.0.2.1"
    assert BrokerPlaces.of("127.0.0.1:1", "[::1]:1").peer() == "127.0.0.1"
    assert BrokerPlaces.of("lab:1").peer() is None


def test_a_host_that_was_given_is_not_looked_for() -> None:
    assert own_host("10.0.0.9", None, "lab") == "10.0.0.9"


def test_places_of_others_are_forgotten() -> None:
    places = BrokerPlaces.of("127.0.0.1:1")
    kept, gone = places.place("127.0.0.2:1"), places.place("127.0.0.3:1")
    places.forget_others(["127.0.0.2:1"])
    assert places.place("127.0.0.2:1") is kept
    assert places.place("127.0.0.3:1") is not gone


def test_a_name_has_no_place_before_it_was_looked_up() -> None:
    place = BrokerPlace("lab:1")
    assert (place.host, place.endpoint, place.is_loopback) == (None, None, False)
    assert BrokerPlace("127.0.0.1:1").is_loopback

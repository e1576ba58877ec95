"""Where endpoints with a name are, as time passes."""

from __future__ import annotations

import itertools
import math

import pytest

from pubsub_common.errors import PubSubError
from pubsub_common.net.name_lookups import NameLookups
from pubsub_common.net.named_endpoints import NamedEndpoints

UNKNOWN = PubSubError("no IP address is known of 'pub'")


class FakeLookups(NameLookups):
    """Answers on request."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def ask(self, name: str) -> None:
        self.asked.append(name)

    def answer(self, *found: str) -> None:
        self._answers.append(("pub", list(found) or UNKNOWN))


class Bench:
    def __init__(self, **options: bool) -> None:
        self.lookups = FakeLookups()
        self.connected: set[str] = set()
        self.own: list[str] = []
        self.named = NamedEndpoints(
            lambda: self.connected,
            lookups=self.lookups,
            is_own=lambda place: place in self.own,
            **options,
        )

    def asked(self) -> int:
        """How often since the last call."""
        count = len(self.lookups.asked)
        self.lookups.asked.clear()
        return count


def test_an_ip_address_is_its_own_place() -> None:
    bench = Bench()
    for endpoint in ("10.0.0.1:1", "[::1]:1"):
        assert bench.named.begin(endpoint, 0.0) == endpoint
        assert bench.named.place(endpoint) == endpoint
        bench.named.end(endpoint)
    assert bench.asked() == 0
    assert bench.named.due_s(0.0) is None
    assert bench.named.look(0.0) == []


def test_a_name_has_a_place_when_it_was_looked_up() -> None:
    bench = Bench()
    assert bench.named.begin("pub:1", 0.0) is None
    assert bench.named.begin("pub:1", 0.0) is None
    assert bench.asked() == 1
    assert bench.named.place("pub:1") is None
    assert bench.named.look(0.1) == []

    bench.lookups.answer("[2001:db8::1]", "10.0.0.1")

    assert bench.named.look(0.2) == [("pub:1", None)]
    assert bench.named.place("pub:1") == "[2001:db8::1]:1"
    assert bench.named.begin("pub:1", 0.3) == "[2001:db8::1]:1"
    assert bench.named.look(0.4) == []


def test_without_a_connection_each_address_has_its_turn() -> None:
    bench = Bench()
    bench.named.begin("pub:1", 0.0)
    bench.lookups.answer("10.0.0.1")
    bench.named.look(0.0)
    bench.connected.add("10.0.0.1:1")
    for now in range(1, 60):
        assert bench.named.look(now) == []
    assert bench.asked() == 1

    bench.connected.clear()
    bench.named.look(60.0)
    assert bench.asked() == 0  # it may come back
    bench.named.look(63.0)
    assert bench.asked() == 1
    bench.named.look(70.0)
    assert bench.asked() == 0  # it is under way
    bench.lookups.answer("10.0.0.1", "10.0.0.2")
    assert bench.named.look(71.0) == [("pub:1", "10.0.0.1:1")]
    assert bench.named.place("pub:1") == "10.0.0.2:1"

    bench.named.look(90.0)
    assert bench.asked() == 1
    bench.lookups.answer("10.0.0.1", "10.0.0.2")
    assert bench.named.look(90.1) == [("pub:1", "10.0.0.2:1")]
    bench.named.look(120.0)
    bench.lookups.answer("10.0.0.9")
    assert bench.named.look(120.1) == [("pub:1", "10.0.0.1:1")]
    assert bench.named.place("pub:1") == "10.0.0.9:1"
    bench.named.look(150.0)
    bench.lookups.answer("10.0.0.9")
    assert bench.named.look(150.1) == []


def test_a_name_that_is_not_known_is_one_line_and_looked_up_ever_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.named.begin("pub:1", 0.0)
    times = []
    now = 0.0
    while now < 120:
        now += 0.5
        if bench.asked():
            times.append(now)
            bench.lookups.answer()
        bench.named.look(now)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits == sorted(waits)
    assert 1 <= waits[0] <= 2
    assert 16 <= waits[-1] <= 18
    assert caplog.messages == [f"cannot connect to pub:1: {UNKNOWN}; retrying"]

    bench.lookups.ask("pub")
    bench.lookups.answer("10.0.0.1")
    now += 17
    bench.named.look(now)
    bench.lookups.answer("10.0.0.1")
    bench.named.look(now)
    assert bench.named.place("pub:1") == "10.0.0.1:1"


def test_a_place_is_kept_while_its_name_is_not_known() -> None:
    bench = Bench()
    assert bench.named.begin("pub:1", 0.0, "10.0.0.1:1") == "10.0.0.1:1"
    assert bench.asked() == 0
    bench.named.look(4.0)
    assert bench.asked() == 1
    bench.lookups.answer()
    assert bench.named.look(4.1) == []
    assert bench.named.place("pub:1") == "10.0.0.1:1"
    bench.named.look(9.0)
    assert bench.asked() == 1


def test_nobody_is_connected_to_the_programs_own_port(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.own = ["10.0.0.1:1"]
    bench.named.begin("pub:1", 0.0)
    bench.lookups.answer("10.0.0.1")

    assert bench.named.look(0.1) == []
    assert bench.named.place("pub:1") is None
    assert "'pub' is 10.0.0.1:1, a port of this program itself" in caplog.text
    bench.named.look(2.0)
    bench.lookups.answer("10.0.0.1", "10.0.0.2")
    assert bench.named.look(2.1) == [("pub:1", None)]
    assert bench.named.place("pub:1") == "10.0.0.2:1"


def test_a_family_may_be_kept() -> None:
    bench = Bench(one_family=True)
    bench.named.begin("pub:1", 0.0, "[2001:db8::1]:1")
    bench.named.look(4.0)
    bench.lookups.answer("10.0.0.1", "[2001:db8::2]")
    assert bench.named.look(4.1) == [("pub:1", "[2001:db8::1]:1")]
    assert bench.named.place("pub:1") == "[2001:db8::2]:1"


def test_a_name_that_changes_to_the_other_family_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(one_family=True)
    bench.named.begin("pub:1", 0.0, "10.0.0.1:1")
    bench.named.look(4.0)
    bench.lookups.answer("[2001:db8::2]")

    assert bench.named.look(4.1) == []
    assert (
        "'pub' is [2001:db8::2]:1, which is of another IP version than 10.0.0.1:1"
        in caplog.text
    )


def test_what_has_ended_is_not_looked_up() -> None:
    bench = Bench()
    bench.named.begin("pub:1", 0.0)
    bench.named.begin("pub:2", 0.0)
    bench.named.end("pub:1")
    bench.lookups.answer("10.0.0.1")
    assert bench.named.look(0.1) == [("pub:2", None)]
    assert bench.named.due_s(0.1) is not None
    bench.named.end("pub:2")
    bench.named.end("pub:2")
    assert bench.named.due_s(math.inf) is None
    bench.lookups.answer("10.0.0.1")
    assert bench.named.look(9.0) == []

"""Names are looked up beside the thread that wants to know."""

from __future__ import annotations

import threading

import pytest

from pubsub_common.defaults import LOOKUP_THREADS
from pubsub_common.errors import PubSubError
from pubsub_common.net import addresses
from pubsub_common.net.name_lookups import Answer, NameLookups, resolve_within
from pubsub_common.testing import wait_for


class Resolver:
    """Answers when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.inside = 0
        self.most_inside = 0
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, name: str) -> list[str]:
        with self._lock:
            self.asked.append(name)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.may.wait()
        with self._lock:
            self.inside -= 1
        if name.startswith("no"):
            raise PubSubError(name)
        return [f"address of {name}"]


def test_whoever_asks_does_not_wait() -> None:
    resolver, answered = Resolver(), threading.Event()
    lookups = NameLookups(resolver)
    lookups.answered = answered.set
    lookups.ask("pub")
    lookups.ask("pub")
    assert lookups.take() == []

    resolver.may.set()
    assert answered.wait(30)

    assert lookups.take() == [("pub", ["address of pub"])]
    assert lookups.take() == []
    assert resolver.asked == ["pub"]


def test_few_names_are_looked_up_at_a_time_and_all_in_the_end() -> None:
    resolver = Resolver()
    lookups = NameLookups(resolver)
    names = [f"{'no' if number % 2 else 'pub'}-{number}" for number in range(20)]
    for name in names:
        lookups.ask(name)
    wait_for(lambda: resolver.inside == LOOKUP_THREADS)

    resolver.may.set()
    found: dict[str, Answer] = {}
    wait_for(lambda: found.update(lookups.take()) or len(found) == len(names))

    assert resolver.most_inside == LOOKUP_THREADS
    assert sorted(resolver.asked) == sorted(names)
    for name, answer in found.items():
        if name.startswith("no"):
            assert isinstance(answer, PubSubError)
        else:
            assert answer == [f"address of {name}"]


def test_it_asks_again_after_its_threads_have_ended() -> None:
    resolver = Resolver()
    resolver.may.set()
    lookups = NameLookups(resolver)
    for _ in range(3):
        lookups.ask("pub")
        wait_for(lookups.take)
    assert resolver.asked == ["pub"] * 3


# Of the thread that may wait


def test_a_name_may_become_known_a_little_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Answer] = [
        PubSubError("unknown"),
        PubSubError("still unknown"),
        ["10.0.0.1"],
    ]

    def look_up(_name: str) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, PubSubError):
            raise answer
        return answer

    monkeypatch.setattr(addresses, "resolve_all", look_up)

    assert resolve_within("pub", 30.0) == "10.0.0.1"
    assert caplog.messages == ["unknown; trying for 30 s"]


def test_the_wait_for_a_name_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    stops = []

    def look_up(_name: str) -> list[str]:
        stops.append(True)
        raise PubSubError("unknown")

    monkeypatch.setattr(addresses, "resolve_all", look_up)

    with pytest.raises(PubSubError, match="unknown"):
        resolve_within("pub", 0.0)
    with pytest.raises(PubSubError, match="unknown"):
        resolve_within("pub", 1e9, stopped=lambda: len(stops) > 1)
    assert len(stops) == 2

"""Random brokers that come, go, fill up and are cut off, while a client looks for one: what holds
whatever happens."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from support.rings import examples

from pubsub_common.client.broker_choice import Ask, BrokerChoice, Drop, Take
from pubsub_common.defaults import BROKER_ANSWER_MAX_S

BROKERS = tuple(f"b{number}:1" for number in range(6))
some_broker = st.sampled_from(BROKERS)
some_brokers = st.lists(some_broker, min_size=1, max_size=6, unique=True)


class Choosing(RuleBasedStateMachine):
    """``asked`` is what the shell knows: the brokers that it has connections to, with what
    they have answered."""

    @initialize(
        given=some_brokers, cut_off=st.sets(some_broker), seed=st.integers(0, 1000)
    )
    def begin(self, given: list[str], cut_off: set[str], seed: int) -> None:
        self.now = 0.0
        self.choice = BrokerChoice(given, random.Random(seed))
        self.asked: dict[str, bool | None] = {}
        self.alive = dict.fromkeys(BROKERS, True)
        self.cut_off = {broker: broker in cut_off for broker in BROKERS}
        self.clients = dict.fromkeys(BROKERS, 0)
        self.at: str | None = given[0]
        self.stays = False

    # What the world does

    @rule(broker=some_broker, alive=st.booleans(), cut_off=st.booleans())
    def change(self, broker: str, alive: bool, cut_off: bool) -> None:
        self.alive[broker] = alive
        self.cut_off[broker] = cut_off

    @rule(broker=some_broker, clients=st.integers(0, 1000))
    def fill(self, broker: str, clients: int) -> None:
        self.clients[broker] = clients

    @rule(brokers=some_brokers)
    def learn(self, brokers: list[str]) -> None:
        self.choice.learn(brokers)

    # What the client does

    @rule()
    def lose(self) -> None:
        self.choice.begin(self.now, left=self.at)
        self.at, self.stays = None, False
        self._tick()

    @precondition(lambda self: self.at is not None and not self.choice.searching)
    @rule()
    def look_for_a_better_one(self) -> None:
        self.choice.begin(self.now, stays_at=self.at)
        self.stays = True
        self._tick()

    @rule()
    def answer(self) -> None:
        for broker, known in list(self.asked.items()):
            if known is None and self.alive[broker]:
                self.asked[broker] = self.cut_off[broker]
                clients, cut_off = self.clients[broker], self.cut_off[broker]
                self.choice.heard(broker, clients, self.now, cut_off=cut_off)
        self._tick()

    @rule(broker=some_broker)
    def reach(self, broker: str) -> None:
        self.choice.reached(broker, self.now)
        self._tick()

    @rule(broker=some_broker)
    def fail(self, broker: str) -> None:
        self.asked.pop(broker, None)
        self.choice.failed(broker, self.now)
        self._tick()

    @rule(seconds=st.floats(0.01, 5.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._tick()

    @precondition(lambda self: self.choice.searching and self.at is None)
    @rule()
    def whoever_is_there_is_found(self) -> None:
        """Where one broker that is known serves, a client without one finds one."""
        if not any(self.alive[broker] for broker in self.choice.known):
            return
        for _ in range(40):
            if not self.choice.searching:
                break
            while any(
                self.alive[each] and known is None for each, known in self.asked.items()
            ):
                self.answer()
            at = self.choice.next_deadline()
            if at is not None:
                assert at <= self.now + BROKER_ANSWER_MAX_S
                self.now = max(self.now, at)
                self._tick()
        assert self.at is not None

    @invariant()
    def no_more_than_two_are_asked(self) -> None:
        if hasattr(self, "asked"):
            assert len(self.asked) <= 2

    @invariant()
    def a_search_always_goes_on(self) -> None:
        if hasattr(self, "choice"):
            assert (self.choice.next_deadline() is not None) == self.choice.searching

    def _tick(self) -> None:
        was_known, answers = set(self.choice.known), set(self.asked.values())
        for step in self.choice.tick(self.now):
            match step:
                case Ask(broker):
                    assert broker not in self.asked
                    assert broker in was_known
                    assert not (self.stays and broker == self.at)
                    self.asked[broker] = None
                case Drop(broker):
                    assert broker in self.asked
                    del self.asked[broker]
                case Take(broker):
                    cut_off = self.asked.pop(broker)
                    assert cut_off is not None, "it has answered"
                    better = self.stays or False in answers
                    assert not (cut_off and better), "another one is not cut off"
                    self.at, self.stays = broker, False
        if not self.choice.searching:
            self.stays = False
            assert not self.asked


TestChoosing = Choosing.TestCase
TestChoosing.settings = settings(
    max_examples=examples(150), stateful_step_count=40, deadline=None
)

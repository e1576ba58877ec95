"""Which of several brokers a client asks, and which it takes.

Theory of operation
-------------------
A search goes in rounds. In each, two brokers are asked, chosen at random: the shell connects to
them (`Ask`) and says what they answer (`heard`) or that they cannot be had (`failed`). Of two that
answer the one with fewer clients is taken; while one has not answered, the other waits for it: a
moment, and longer if it can be seen to be there, or if the first needed longer itself. Else a crowd
that moves at once would go where answers come from first. Two at random and the emptier of them
spread clients nearly as evenly as to compare all of them would, and cost two requests. When neither
can be had, the next two are asked, and when all were, it begins anew, more and more patiently. One
to which there is a connection gets more time.

Brokers that were left, or did not answer, are asked after the others for a while. One that is cut
off from its group is taken only when all others have been asked: it serves its clients, but
nobody else hears of them.

A client that *stays* has a broker, and looks for a better one: its search ends when all were
asked. One that does not goes on until it has one.

Names are ``host:port``. ``now`` is seconds of one monotonic clock.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Sequence
from typing import Final

from pubsub_common.defaults import (
    BROKER_ANSWER_MAX_S,
    BROKER_ANSWER_S,
    BROKER_AVOID_S,
    BROKER_COMPARE_S,
    MAX_BROKERS,
)

_ASKED_AT_ONCE: Final = 2
# Brokers whose numbers of clients are that near to each other count as equally full: else all
# clients of a crowd that moves at once would take the one that was emptier before they came.
_NEARLY: Final = 0.8


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """Connect to this broker, and ask how full it is."""

    broker: str


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """What this broker answers is of no interest any more."""

    broker: str


@dataclasses.dataclass(frozen=True, slots=True)
class Take:
    """Register with this broker, by the connection on which it was asked."""

    broker: str


Step = Ask | Drop | Take


@dataclasses.dataclass(slots=True)
class _Asked:
    """``clients`` it has, None before it has answered."""

    reached: bool = False
    clients: int | None = None
    cut_off: bool = False


class BrokerChoice:
    """``searching``: whether a broker is looked for. ``passes``: how often all that are known
    were asked in this search, in vain. ``known`` are all brokers, those that a broker has told
    of first: it knows which are there."""

    def __init__(self, given: Iterable[str], rng: random.Random) -> None:
        """``given`` are the brokers that the user has named."""
        self.searching = False
        self.passes = 0
        self.may_begin_at = 0.0  # the next search of one that stays
        self.known = self._given = tuple(dict.fromkeys(given))
        self._told: tuple[str, ...] = ()
        self._rng = rng
        self._stays_at: str | None = None
        self._avoided: dict[str, float] = {}  # until when
        self._asked: dict[str, _Asked] = {}
        self._tried: set[str] = set()  # in this pass
        self._takes_cut_off = False
        self._asked_at = 0.0
        # When the first that is usable has answered.
        self._heard_at: float | None = None
        self._round_until = 0.0

    # What is known

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self.known) > 1

    def learn(self, brokers: Sequence[str]) -> None:
        """A broker tells of all that are in its group now."""
        self._told = tuple(dict.fromkeys(brokers[:MAX_BROKERS]))
        self.known = tuple(dict.fromkeys((*self._told, *self._given)))
        for broker in self._avoided.keys() - set(self.known):
            del self._avoided[broker]

    # A search

    def begin(
        self, now: float, *, left: str | None = None, stays_at: str | None = None
    ) -> None:
        """Look for a broker, instead of one that was ``left``, or as a better one than the one
        where this client stays meanwhile. A search that is under way goes on."""
        if left is not None:
            self._avoided[left] = now + BROKER_AVOID_S
        if self.searching:
            self._stays_at = stays_at if self._stays_at is not None else None
            return
        self.searching = True
        self.passes = 0
        self._stays_at = stays_at
        self._takes_cut_off = False
        self._tried.clear()
        self._round_until = now

    def end(self) -> list[Step]:
        """No broker is looked for any more."""
        dropped: list[Step] = [Drop(broker) for broker in self._asked]
        self.searching = False
        self._stays_at = None
        self._asked.clear()
        self._heard_at = None
        return dropped

    def reached(self, broker: str, now: float) -> None:
        """There is a connection to a broker that was asked: it is there, and has much to do
        perhaps. To ask others instead, and it again, would be more for all of them."""
        asked = self._asked.get(broker)
        if asked is not None and not asked.reached:
            asked.reached = True
            self._round_until = max(self._round_until, now + BROKER_ANSWER_MAX_S)

    def heard(self, broker: str, clients: int, now: float, *, cut_off: bool) -> None:
        """A broker has answered how full it is."""
        asked = self._asked.get(broker)
        if asked is None:
            return
        self._avoided.pop(broker, None)
        asked.clients, asked.cut_off = clients, cut_off
        if self._heard_at is None and self._usable():
            self._heard_at = now

    def failed(self, broker: str, now: float) -> None:
        """A broker that was asked cannot be had."""
        if self._asked.pop(broker, None) is not None:
            self._avoided[broker] = now + BROKER_AVOID_S

    def next_deadline(self) -> float | None:
        """When `tick` has something to do; None: when something is heard, or never."""
        if not self.searching:
            return None
        return self._round_until if self._heard_at is None else self._compare_until()

    def tick(self, now: float) -> list[Step]:
        """What is to be done at ``now``."""
        if not self.searching:
            return []
        waits = any(each.clients is None for each in self._asked.values())
        stays = self._stays_at is not None
        more = bool(self._untried())
        usable = self._usable()
        if not (usable or waits or more or stays) and self._asked:
            self._takes_cut_off = True  # better than none
            usable = self._usable()
        if usable:
            late = self._heard_at is not None and now >= self._compare_until()
            return self._take(usable) if late or not waits else []
        self._heard_at = None
        if now < self._round_until and (waits or not (more or stays)):
            return []
        return self._next_round(now)

    # Inside

    def _usable(self) -> dict[str, int]:
        """Those that may be taken, with their numbers of clients: of those that have answered
        the ones that are not cut off, if any."""
        found: dict[bool, dict[str, int]] = {False: {}, True: {}}
        for broker, asked in self._asked.items():
            if asked.clients is not None:
                found[asked.cut_off][broker] = asked.clients
        return found[False] or (found[True] if self._takes_cut_off else {})

    def _compare_until(self) -> float:
        """Until when the first that has answered waits for the other one."""
        assert self._heard_at is not None
        if any(each.reached and each.clients is None for each in self._asked.values()):
            wait_s = BROKER_ANSWER_S
        else:
            first_s = self._heard_at - self._asked_at
            wait_s = min(max(first_s, BROKER_COMPARE_S), BROKER_ANSWER_S)
        return self._heard_at + wait_s

    def _take(self, usable: dict[str, int]) -> list[Step]:
        fewest = min(usable.values())
        emptiest = [
            broker for broker, clients in usable.items() if clients * _NEARLY <= fewest
        ]
        chosen = self._rng.choice(emptiest)
        del self._asked[chosen]
        return [*self.end(), Take(chosen)]

    def _next_round(self, now: float) -> list[Step]:
        steps: list[Step] = []
        for broker, asked in self._asked.items():
            steps.append(Drop(broker))
            if asked.clients is None:
                self._avoided[broker] = now + BROKER_AVOID_S
        self._asked.clear()
        brokers = self._next(now)
        if not brokers:
            if self._stays_at is not None:
                self.may_begin_at = now + BROKER_ANSWER_MAX_S
                return [*steps, *self.end()]
            self.passes += 1
            self._tried.clear()
            self._takes_cut_off = True
            brokers = self._next(now)
        patience = BROKER_ANSWER_S * 2 ** min(self.passes, 8)
        self._round_until = now + min(patience, BROKER_ANSWER_MAX_S)
        self._asked_at = now
        for broker in brokers:
            self._tried.add(broker)
            self._asked[broker] = _Asked()
            steps.append(Ask(broker))
        return steps

    def _untried(self) -> list[str]:
        """Those that were not asked in this pass."""
        return [
            broker
            for broker in self.known
            if broker not in self._tried and broker != self._stays_at
        ]

    def _next(self, now: float) -> list[str]:
        """Whom to ask next: at random, but last those that were no good last time."""
        left = self._untried()
        self._rng.shuffle(left)
        left.sort(key=lambda broker: broker not in self._told)
        fresh = [broker for broker in left if self._avoided.get(broker, now) <= now]
        return (fresh or left)[:_ASKED_AT_ONCE]

"""Chooses one of several brokers for a client.

Theory of operation
-------------------

A search has rounds. In each, two random brokers are asked: the shell connects to them (`Ask`)
and reports their reply (`heard`) or a failure (`failed`). Of two replies the broker with
fewer clients is taken. While one reply is missing, the first waits: a moment, and longer if
the other broker is known to run, or if the first needed longer itself. Else a crowd that
moves at once would go to the fastest brokers. The better of two random brokers spreads
clients nearly as evenly as a comparison of all would, and costs two requests. If neither can
be used, the next two are asked; after all brokers, the search begins again, with longer
pauses. A broker with a connection gets more time.

Brokers that were left, or did not answer, are asked last for a while. A broker that is cut
off from its group is taken only after all others were asked: it serves its clients, but
clients of other brokers do not learn of them.

A client that *stays* has a broker and looks for a better one: its search ends when all were
asked. Otherwise the search continues until there is a broker.

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
# Brokers with nearly the same number of clients count as equally full: else all clients of a crowd
# that moves at once would take the one that had fewer before.
_NEARLY: Final = 0.8


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """Connect to this broker, and ask for its number of clients."""

    broker: str


@dataclasses.dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection to this broker."""

    broker: str


@dataclasses.dataclass(frozen=True, slots=True)
class Take:
    """Register with this broker, on the connection of the question."""

    broker: str


Step = Ask | Drop | Take


@dataclasses.dataclass(slots=True)
class _Asked:
    """``clients`` is None before the reply."""

    reached: bool = False
    clients: int | None = None
    cut_off: bool = False


class BrokerChoice:
    """``searching``: a search is running. ``passes``: how often all known brokers were asked
    in this search without success. ``known`` are all brokers; those that a broker has
    named come first, because it knows which ones run."""

    def __init__(self, given: Iterable[str], rng: random.Random) -> None:
        """``given`` are the brokers that the user has named."""
        self.searching = False
        self.passes = 0
        self.may_begin_at = 0.0  # time of the next search while it stays
        self.known = self._given = tuple(dict.fromkeys(given))
        self._told: tuple[str, ...] = ()
        self._rng = rng
        self._stays_at: str | None = None
        self._avoided: dict[str, float] = {}  # until when
        self._asked: dict[str, _Asked] = {}
        self._tried: set[str] = set()  # in this pass
        self._takes_cut_off = False
        self._asked_at = 0.0
        # Time of the first usable reply.
        self._heard_at: float | None = None
        self._round_until = 0.0

    # Known brokers

    @property
    def several(self) -> bool:
        """Whether there is a choice."""
        return len(self.known) > 1

    def learn(self, brokers: Sequence[str]) -> None:
        """A broker has named all brokers of its group."""
        self._told = tuple(dict.fromkeys(brokers[:MAX_BROKERS]))
        self.known = tuple(dict.fromkeys((*self._told, *self._given)))
        for broker in self._avoided.keys() - set(self.known):
            del self._avoided[broker]

    # A search

    def begin(
        self, now: float, *, left: str | None = None, stays_at: str | None = None
    ) -> None:
        """Search for a broker: one instead of a broker that was ``left``, or a better one
        while this client stays. A running search continues."""
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
        """End the search."""
        dropped: list[Step] = [Drop(broker) for broker in self._asked]
        self.searching = False
        self._stays_at = None
        self._asked.clear()
        self._heard_at = None
        return dropped

    def reached(self, broker: str, now: float) -> None:
        """There is a connection to an asked broker: it runs, and may be busy. Asking other
        brokers instead would be more work for all."""
        asked = self._asked.get(broker)
        if asked is not None and not asked.reached:
            asked.reached = True
            self._round_until = max(self._round_until, now + BROKER_ANSWER_MAX_S)

    def heard(self, broker: str, clients: int, now: float, *, cut_off: bool) -> None:
        """A broker has reported its number of clients."""
        asked = self._asked.get(broker)
        if asked is None:
            return
        self._avoided.pop(broker, None)
        asked.clients, asked.cut_off = clients, cut_off
        if self._heard_at is None and self._usable():
            self._heard_at = now

    def failed(self, broker: str, now: float) -> None:
        """An asked broker cannot be used."""
        if self._asked.pop(broker, None) is not None:
            self._avoided[broker] = now + BROKER_AVOID_S

    def next_deadline(self) -> float | None:
        """When `tick` has work; None: after the next report, or never."""
        if not self.searching:
            return None
        return self._round_until if self._heard_at is None else self._compare_until()

    def tick(self, now: float) -> list[Step]:
        """The steps that are due at ``now``."""
        if not self.searching:
            return []
        waits = any(each.clients is None for each in self._asked.values())
        stays = self._stays_at is not None
        more = bool(self._untried())
        usable = self._usable()
        if not (usable or waits or more or stays) and self._asked:
            self._takes_cut_off = True  # the last choice
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
        """The brokers that may be taken, with their numbers of clients: of those with a reply
        the ones that are not cut off, if any."""
        found: dict[bool, dict[str, int]] = {False: {}, True: {}}
        for broker, asked in self._asked.items():
            if asked.clients is not None:
                found[asked.cut_off][broker] = asked.clients
        return found[False] or (found[True] if self._takes_cut_off else {})

    def _compare_until(self) -> float:
        """Until when the first reply waits for the other one."""
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
        """The brokers that were not asked in this pass."""
        return [
            broker
            for broker in self.known
            if broker not in self._tried and broker != self._stays_at
        ]

    def _next(self, now: float) -> list[str]:
        """The brokers to ask next: at random, but those that failed last time come last."""
        left = self._untried()
        self._rng.shuffle(left)
        left.sort(key=lambda broker: broker not in self._told)
        fresh = [broker for broker in left if self._avoided.get(broker, now) <= now]
        return (fresh or left)[:_ASKED_AT_ONCE]

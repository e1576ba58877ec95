"""The places of subscribers and topics: the copies of a topic's events that each broker sends.

A table of counts has a row for each topic and a column for each broker.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

import numpy as np

from pubsub_perf.capacity.workload import Counts, Floats, Workload

Forwarding = Literal["own", "split"]
# A topic is at so many times the brokers that its share of all subscriptions would fill, so
# that a hot one does not fill its own; and each of them has at least so many of its subscribers.
SHARE_TIMES: Final = 8
SUBSCRIBERS_A_BROKER: Final = 2


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """``copies`` of an event of each topic that each broker sends; ``subscribers`` of each
    topic."""

    copies: Counts

    @property
    def subscribers(self) -> Counts:
        return np.asarray(self.copies.sum(axis=1))

    def work(self, shares: Floats, taken: float, copy: float) -> Floats:
        """Of each broker for an average event: it takes in those that it sends copies of."""
        cost = taken * (self.copies > 0) + copy * self.copies
        return np.asarray(shares @ cost)

    def sent_by_publishers(self, shares: Floats) -> float:
        """How many brokers a publisher sends an average event to, of those that any
        subscriber wants."""
        takers = (self.copies > 0).sum(axis=1)
        wanted = shares[takers > 0].sum()
        return float(shares @ takers / wanted) if wanted else 0.0


def at_home(workload: Workload, brokers: int, draws: np.random.Generator) -> Counts:
    """How many subscribers of each topic are registered at each broker, if all brokers have
    as many clients (a client takes the emptier of two)."""
    chances = workload.chances / workload.topics_each
    chances = chances / chances.sum()
    columns = []
    for broker in range(brokers):
        clients = len(range(broker, workload.subscribers, brokers))
        drawn = draws.multinomial(clients * workload.topics_each, chances)
        columns.append(np.minimum(drawn, clients))  # no subscriber has a topic twice
    return np.asarray(np.stack(columns, axis=1), dtype=np.int64)


def own(home: Counts) -> Spread:
    """Each broker serves its own clients with all their topics."""
    return Spread(home)


def brokers_of_a_topic(subscribers: Counts, brokers: int) -> Counts:
    """At how many brokers each topic is, by the rule of *split*, if it has so many
    ``subscribers``: a power of two, or all of them."""
    total = max(int(subscribers.sum()), 1)
    share = np.maximum(SHARE_TIMES * brokers * subscribers / total, 1)
    asked = 2.0 ** np.ceil(np.log2(share))
    most = np.maximum(subscribers / SUBSCRIBERS_A_BROKER, 1)
    allowed = 2.0 ** np.floor(np.log2(most))
    found = np.minimum(np.minimum(asked, allowed), brokers)
    return np.asarray(found, dtype=np.int64)


def split(home: Counts, draws: np.random.Generator) -> Spread:
    """A topic is at as many brokers as its subscribers ask for, drawn by lot, as hashing does.
    A subscriber uses its own broker if that is one of them; the others are spread at
    random."""
    topics, brokers = home.shape
    count = brokers_of_a_topic(home.sum(axis=1), brokers)
    rank = draws.random((topics, brokers)).argsort(axis=1).argsort(axis=1)
    chosen = rank < count[:, np.newaxis]
    staying = home * chosen
    moving = (home - staying).sum(axis=1)
    chances = chosen / count[:, np.newaxis]
    return Spread(staying + draws.multinomial(moving, chances))

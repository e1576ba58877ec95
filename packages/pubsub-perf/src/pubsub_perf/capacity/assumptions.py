"""The assumptions of the predictions."""

from __future__ import annotations

from typing import Final

from pubsub_perf.capacity.spread import SHARE_TIMES, SUBSCRIBERS_A_BROKER
from pubsub_perf.capacity.workload import Workload

# etcd's default quota.
ETCD_QUOTA_BYTES: Final = 2 * 1024**3


def assumptions(workload: Workload) -> tuple[str, ...]:
    """The assumptions, one sentence each."""
    popular = (
        "The n-th topic has 1/n of the events of the first one, and subscribers choose "
        "topics by the same weights."
        if workload.popularity == "zipf"
        else "All topics have equally many events, and subscribers choose topics at random."
    )
    return (
        "The model is centralized. Decentralized, no event passes through a broker, and a "
        "group grows by its clients alone.",
        "An event costs a broker one fixed time to receive it and another for each copy, at every "
        "rate and number of connections. In fact both are less at higher rates, where one call "
        "of the kernel carries many events.",
        "Processor time alone is counted. A broker has a processor for itself, and uses one at "
        "a time. No limit of memory, network or queue lengths is met.",
        "Clients are spread evenly over brokers, because each takes the emptier of two.",
        popular,
        "Own: each broker receives the topics of its own clients. Split: the number of brokers "
        f"of a topic is {SHARE_TIMES} times its share of all subscriptions in full brokers, "
        f"rounded to a power of two, and at most one for {SUBSCRIBERS_A_BROKER} of its "
        "subscribers; these brokers are random, as with hashing; a subscriber receives the "
        "topic from its own broker if that is one of them.",
        "Publishers keep up: each sends a copy of an event to every broker that receives it.",
        "The registry's figures were measured with up to 10,000 clients, and are assumed to "
        "grow in proportion. No group of a million clients was measured.",
    )

"""What must hold for the predictions to hold."""

from __future__ import annotations

from typing import Final

from pubsub_perf.capacity.spread import SHARE_TIMES, SUBSCRIBERS_A_BROKER
from pubsub_perf.capacity.workload import Workload

# Of etcd, unless an operator gives it more.
ETCD_QUOTA_BYTES: Final = 2 * 1024**3


def assumptions(workload: Workload) -> tuple[str, ...]:
    """Line by line, for people."""
    popular = (
        "The n-th topic has 1/n of the events of the first one, and subscribers choose "
        "topics by the same weights."
        if workload.popularity == "zipf"
        else "All topics have as many events, and subscribers choose them by lot."
    )
    return (
        "The model is centralized. Decentralized, no event passes through a broker, and a "
        "group grows by its clients alone.",
        "An event costs a broker one fixed time to take in and another for each copy, at every "
        "rate and number of connections. In fact both are less at higher rates, where one call "
        "of the kernel carries many events.",
        "Processor time alone is counted. A broker has a processor for itself, and uses one at "
        "a time. No limit of memory, network or queue lengths is met.",
        "Clients are spread evenly over brokers, because each takes the emptier of two.",
        popular,
        "Own: each broker takes in what its own clients want. Split: a topic is at "
        f"{SHARE_TIMES} times the brokers that its share of all subscriptions would fill, at a "
        f"power of two of them, and at no more than one for {SUBSCRIBERS_A_BROKER} of its "
        "subscribers; which ones is drawn by lot, as hashing does; a subscriber takes it from "
        "its own broker where that is among them.",
        "Publishers keep up: each sends a copy of an event to every broker that takes it in.",
        "The registry's figures were measured with up to 10,000 clients, and are taken to grow "
        "in proportion. Nobody has run a group of a million clients.",
    )

"""The command lines of a cell's roles. Core."""

from __future__ import annotations

from pubsub_common import defaults
from pubsub_perf.plan import Case


def broker(case: Case, address: str) -> list[str]:
    """The broker's command line."""
    model = ["--centralized"] if case.model == "centralized" else []
    return ["pubsub-broker", *model, "--indefinite", "--address", address]


def publisher(case: Case, address: str, broker_address: str) -> list[str]:
    """The command line of one publisher. It waits until every subscriber is attached,
    says so, and is then told when to begin."""
    load = case.load
    topics = [word for name in load.topic_names for word in ("-t", name)]
    return [
        "pubsub-publisher",
        *topics,
        *_client(address, broker_address),
        "--max-event-count",
        str(load.events),
        "--sleep",
        repr(load.interval_s),
        "--payload-size",
        str(load.payload_bytes),
        "--bind-port",
        str(defaults.PUBLISHER_PORT),
        "--wait-for",
        str(case.ready_subscribers()),
        "--hold",
    ]


def subscriber(case: Case, index: int, address: str, broker_address: str) -> list[str]:
    """The command line of subscriber ``index``."""
    topic = case.load.topic_names[case.topic_of(index)]
    model = ["--centralized"] if case.model == "centralized" else []
    return [
        "pubsub-subscriber",
        "-t",
        topic,
        *_client(address, broker_address),
        *model,
        "--max-event-count",
        str(case.expected(index)),
        "--filename",
        data_file(index),
    ]


def data_file(index: int) -> str:
    """The name of subscriber ``index``'s file in the cell's folder."""
    return f"subscriber-{index}.csv"


def _client(address: str, broker_address: str) -> list[str]:
    return [
        "--broker-address",
        broker_address,
        "--address",
        address,
        "--clock",
        "monotonic",
        "--connect-timeout",
        "120",
    ]

"""The command lines of a cell's roles. Core."""

from __future__ import annotations

from typing import Final

from pubsub_common import defaults
from pubsub_perf.plan import CLOCK, Case

# Folders in a cell's folder.
EVENTS: Final = "events"
REPORTS: Final = "reports"
LOGS: Final = "logs"


def broker(case: Case, address: str) -> list[str]:
    """The broker's command line."""
    model = ["--centralized"] if case.model == "centralized" else []
    return ["pubsub-broker", *model, "--indefinite", "--bind", address]


def publisher(case: Case, index: int, address: str, broker_address: str) -> list[str]:
    """The command line of publisher ``index``. It waits until every subscriber is
    attached, says so, and is then told when to begin."""
    load = case.load
    topics = [word for name in load.topic_names for word in ("-t", name)]
    return [
        "pubsub-publisher",
        *topics,
        *_client(address, broker_address),
        "--max-event-count",
        str(load.sent),
        "--sleep",
        repr(load.interval_s),
        "--payload-size",
        str(load.payload_bytes),
        "--bind-port",
        str(defaults.PUBLISHER_PORT),
        "--wait-for",
        str(case.ready_subscribers()),
        "--hold",
        *_measure(f"publisher-{index}"),
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
        *_measure(f"subscriber-{index}"),
    ]


def data_file(index: int) -> str:
    """The name of subscriber ``index``'s file in the cell's folder."""
    return f"subscriber-{index}.csv"


def details_file(role: str) -> str:
    """The name of a role's details in the cell's folder."""
    return f"{EVENTS}/{role}.csv.gz"


def report_file(role: str) -> str:
    """The name of a role's report in the cell's folder."""
    return f"{REPORTS}/{role}.json"


def _measure(role: str) -> list[str]:
    return ["--details", details_file(role), "--report", report_file(role)]


def _client(address: str, broker_address: str) -> list[str]:
    return [
        "--broker-address",
        broker_address,
        "--address",
        address,
        "--clock",
        CLOCK,
        "--connect-timeout",
        "120",
    ]

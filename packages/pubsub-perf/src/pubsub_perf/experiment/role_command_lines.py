"""The command lines of a cell's roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_perf.plan.cases import CLOCK, PERIODIC, Case

if TYPE_CHECKING:
    from pubsub_perf.experiment.role_keys import RoleKeys

# Folders in a cell's folder.
EVENTS: Final = "events"
REPORTS: Final = "reports"
LOGS: Final = "logs"
# One machine emulates all hosts, and roles wait for seconds while hundreds start. A lease that
# expires for this reason would be an effect of the emulation, and add to the load.
_LEASE_PER_HOST_S: Final = 0.25


# For all cells: each has its own etcd.
GROUP: Final = "sweep"


def broker(
    case: Case,
    address: str,
    keys: RoleKeys | None = None,
    registry: str | None = None,
) -> list[str]:
    """The command line of the broker at ``address``; ``registry`` is the URL of
    its group's registry."""
    forwards = case.model == "centralized"
    model = ["--centralized", *_queues(case, overflow=True)] if forwards else []
    secure = [] if keys is None else keys.broker_words()
    lease_s = _LEASE_PER_HOST_S * len(case.network.hosts)
    patient = [f"--lease={lease_s:g}"] if lease_s > defaults.LEASE_S else []
    group = [] if registry is None else ["--registry", registry, "--group", GROUP]
    words = [*model, "--indefinite", "--bind", address, *patient, *group, *secure]
    return ["pubsub-broker", *words]


def publisher(
    case: Case,
    index: int,
    address: str,
    broker_address: str,
    keys: RoleKeys | None = None,
) -> list[str]:
    """The command line of publisher ``index``. It waits until every subscriber is
    attached, prints a line, and then reads the time of its first event."""
    load = case.load
    name = f"publisher-{index}"
    topics = [word for name in load.topic_names for word in ("-t", name)]
    return [
        "pubsub-publisher",
        *topics,
        *_client_options(address, broker_address, name, keys),
        "--max-event-count",
        str(load.sent),
        "--sleep",
        repr(load.interval_s),
        *_arrivals(case, index),
        "--payload-size",
        str(load.payload_bytes),
        "--bind-port",
        str(defaults.PUBLISHER_PORT),
        "--wait-for",
        str(case.ready_subscribers()),
        "--hold",
        *_queues(case, overflow=True),
        *_recording_options(name),
    ]


def subscriber(
    case: Case,
    index: int,
    address: str,
    broker_address: str,
    keys: RoleKeys | None = None,
) -> list[str]:
    """The command line of subscriber ``index``."""
    name = f"subscriber-{index}"
    topic = case.load.topic_names[case.topic_of(index)]
    model = ["--centralized"] if case.model == "centralized" else []
    return [
        "pubsub-subscriber",
        "-t",
        topic,
        *_client_options(address, broker_address, name, keys),
        *model,
        "--max-event-count",
        str(case.expected(index)),
        "--filename",
        data_file(index),
        *_queues(case, overflow=False),
        *_recording_options(name),
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


def _arrivals(case: Case, index: int) -> list[str]:
    """The options of random times between events."""
    if case.load.arrivals == PERIODIC:
        return []
    seed = case.arrival_seeds()[index]
    return ["--arrivals", case.load.arrivals, "--arrivals-seed", str(seed)]


def _queues(case: Case, *, overflow: bool) -> list[str]:
    """The options of queues with other values than the role's defaults."""
    load = case.load
    asked = (
        ("--overflow", load.overflow if overflow else None),
        ("--queue-limit", load.queue_limit),
        ("--queue-bytes", load.queue_bytes),
    )
    return [word for name, it in asked if it is not None for word in (name, str(it))]


def _recording_options(role: str) -> list[str]:
    return ["--details", details_file(role), "--report", report_file(role)]


def _client_options(
    address: str, broker_address: str, name: str, keys: RoleKeys | None
) -> list[str]:
    return [
        "--broker-address",
        broker_address,
        "--address",
        address,
        "--clock",
        CLOCK,
        "--connect-timeout",
        "120",
        # The sweep itself waits until all are ready, with a longer limit.
        "--attach-timeout",
        "0",
        *([] if keys is None else keys.client_words(name)),
    ]

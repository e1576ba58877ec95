"""Checks before the first cell whether this machine can run an experiment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.net.open_files import check_open_files
from pubsub_perf.hosts import etcd_program, factory
from pubsub_perf.plan.cases import Load

# Files that a broker opens, and files for the clients of each host.
_FILES: Final = 52
_HOST_FILES: Final = 4


def check_programs(loads: Iterable[Load], hosts: int) -> None:
    """Check the programs and limits for ``hosts``, the size of the largest network.

    Raises:
        ConfigError: a program is missing, or this process may not open enough files.
    """
    several = any(load.brokers > 1 for load in loads)
    if several and (missing := etcd_program.unavailable()):
        raise ConfigError(missing)
    check_open_files(f"a sweep of {hosts} hosts", _FILES + _HOST_FILES * hosts)


def check_networks(kind: factory.HostKind, loads: Iterable[Load]) -> list[str]:
    """Missing features of hosts of this kind, one line each, for the user. To be called inside
    the namespaces of the hosts.

    Raises:
        ConfigError: a load needs a missing feature.
    """
    for load in dict.fromkeys(loads):
        factory.check_network(kind, load)
    return factory.missing_features(kind)

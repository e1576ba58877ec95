"""Whether this machine can run an experiment, found out before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.net.open_files import check_open_files
from pubsub_perf.hosts import etcd_program, factory
from pubsub_perf.plan.cases import Load

# What a broker opens, and for the clients of each host.
_FILES: Final = 52
_HOST_FILES: Final = 4


def check_programs(loads: Iterable[Load], hosts: int) -> None:
    """``hosts``: of the largest network.

    Raises:
        ConfigError: a program is missing, or this process may not open enough files.
    """
    several = any(load.brokers > 1 for load in loads)
    if several and (missing := etcd_program.unavailable()):
        raise ConfigError(missing)
    check_open_files(f"a sweep of {hosts} hosts", _FILES + _HOST_FILES * hosts)


def check_networks(kind: factory.HostKind, loads: Iterable[Load]) -> list[str]:
    """What hosts of this kind lack here, a line each, for the user. To be called inside the
    namespaces in which they will be.

    Raises:
        ConfigError: a load asks for what they lack.
    """
    for load in dict.fromkeys(loads):
        factory.check_network(kind, load)
    return factory.missing_features(kind)

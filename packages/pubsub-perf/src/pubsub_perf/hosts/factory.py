"""Chooses the kind of hosts to run on."""

from __future__ import annotations

from typing import Literal

from pubsub_common.errors import ConfigError
from pubsub_perf.hosts import kernel_features, namespaces
from pubsub_perf.hosts.interface import Hosts
from pubsub_perf.hosts.local import LocalHosts
from pubsub_perf.plan.cases import SWITCHES, Load
from pubsub_perf.plan.topologies import Network

HostKind = Literal["mininet", "local"]


def choose(asked: str) -> tuple[HostKind, str | None]:
    """The kind of hosts for ``--hosts``, and why it is not Mininet when ``auto`` fell
    back.

    Raises:
        ConfigError: there is no such kind, or Mininet was asked for and cannot run here.
    """
    if asked == "local":
        return "local", None
    if asked not in ("mininet", "auto"):
        raise ConfigError(f"unknown hosts {asked!r}: choose mininet, local or auto")
    reason = None if namespaces.inside() else namespaces.unavailable()
    if reason is None:
        return "mininet", None
    if asked == "auto":
        return "local", reason
    raise ConfigError(f"Mininet cannot run here: {reason}")


def check_network(kind: HostKind, load: Load) -> None:
    """Reject links and switches that these hosts cannot have, before the first cell.

    Raises:
        ConfigError: the load asks for them.
    """
    if kind == "local":
        if load.bandwidth_mbit is not None or load.needs_netem:
            raise ConfigError(
                "local hosts have no links, so no bandwidth, delay, jitter or loss can be "
                "set; this needs --hosts mininet"
            )
        if load.switch != SWITCHES[0]:
            raise ConfigError(
                f"local hosts have no switches, so no {load.switch} either; "
                "this needs --hosts mininet"
            )
        return
    if load.switch == "openvswitch":
        reason = kernel_features.openvswitch_unavailable() or (
            "its daemons would have to run in the sweep's private namespaces, which "
            "this version does not do"
        )
        raise ConfigError(
            f"Open vSwitch cannot be used: {reason}; choose --switch linux-bridge"
        )
    if load.needs_netem and (missing := kernel_features.netem_unavailable()):
        raise ConfigError(
            f"{kernel_features.asked_of_netem(load)} cannot be set: {missing}"
        )


def missing_features(kind: HostKind) -> list[str]:
    """Missing features of the kernel and their effect, one line each for the user. To be called
    inside the sweep's namespaces."""
    if kind == "local":
        return []
    found = (
        (kernel_features.netem_unavailable(), "links cannot delay or lose packets"),
        (kernel_features.openvswitch_unavailable(), "switches are Linux bridges"),
    )
    return [f"{reason}: {meaning}" for reason, meaning in found if reason]


def open_hosts(kind: HostKind, network: Network, load: Load) -> Hosts:
    """Hosts for a network, to be entered."""
    if kind == "local":
        return LocalHosts(network)
    from pubsub_perf.hosts.mininet import MininetHosts

    return MininetHosts(network, load)

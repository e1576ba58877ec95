"""Hosts to run roles on: real Mininet hosts, or loopback addresses."""

from pubsub_perf.hosts.base import HostError, Hosts
from pubsub_perf.hosts.choice import choose, open_hosts

__all__ = ["HostError", "Hosts", "choose", "open_hosts"]

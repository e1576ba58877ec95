"""Hosts to run roles on: real Mininet hosts, or loopback addresses.

Shell.
"""

from pubsub_perf.hosts.factory import choose, open_hosts
from pubsub_perf.hosts.interface import HostError, Hosts

__all__ = ["HostError", "Hosts", "choose", "open_hosts"]

"""Networks as data: hosts, switches, links, and the placement of roles.

Nothing here knows Mininet; `pubsub_perf.hosts` makes networks of these descriptions.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pubsub_common.errors import ConfigError

# A broker, a publisher and a subscriber.
MIN_HOSTS = 3
# A Linux bridge has 1023 ports; one host per /24 neighbour of the seed's sweeps.
MAX_HOSTS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A cable between two nodes. ``shaped``: it gets the bandwidth that is asked for."""

    ends: tuple[str, str]
    shaped: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """One network: ``hosts`` and ``switches`` by name, and the links between them. ``group`` are
    additional hosts, for the other brokers and etcd."""

    kind: str
    name: str
    hosts: tuple[str, ...]
    switches: tuple[str, ...]
    links: tuple[Link, ...]
    depth: int | None = None
    fanout: int | None = None
    group: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """All hosts, those in ``group`` last."""
        return self.hosts + self.group

    def describe(self) -> dict[str, object]:
        """For ``cell.json``."""
        about: dict[str, object] = {
            "kind": self.kind,
            "hosts": len(self.hosts),
            "switches": len(self.switches),
            "links": len(self.links),
        }
        if self.depth is not None:
            about |= {"depth": self.depth, "fanout": self.fanout}
        if self.group:
            about["group_hosts"] = len(self.group)
        return about


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """Which host (by index) runs which role: host 0 the broker, then publishers, then
    ``(hosts - 1) // 2`` subscribers. Further ``brokers``, and ``etcd``, are on the hosts after
    these, so that they take no client's place."""

    publishers: range
    subscribers: range
    brokers: tuple[int, ...] = (0,)
    etcd: int | None = None

    @staticmethod
    def of(hosts: int, brokers: int = 1) -> Placement:
        """With one broker there is no etcd."""
        first_subscriber = hosts - (hosts - 1) // 2
        after = range(hosts, hosts + brokers - 1)
        return Placement(
            range(1, first_subscriber),
            range(first_subscriber, hosts),
            (0, *after),
            after.stop if brokers > 1 else None,
        )


def with_group(network: Network, brokers: int) -> Network:
    """The network with a host for each further broker, and one for etcd, on the switch that
    the first broker is on; as it is for one broker."""
    if brokers == 1:
        return network
    names = (*(f"broker{number + 1}" for number in range(1, brokers)), "etcd")
    own = next(link for link in network.links if network.hosts[0] in link.ends)
    switch = next(end for end in own.ends if end != network.hosts[0])
    links = (Link((switch, name), own.shaped) for name in names)
    return dataclasses.replace(network, group=names, links=(*network.links, *links))


def tree(depth: int, fanout: int) -> Network:
    """A tree of switches, ``depth`` levels deep, each with ``fanout`` children; the
    hosts are the leaves.

    Raises:
        ConfigError: it would have too few or too many hosts.
    """
    if depth < 1 or fanout < 1:
        raise ConfigError(
            f"a tree needs depth and fanout of 1 or more: {depth}, {fanout}"
        )
    count = fanout**depth
    _check(count, f"a tree of depth {depth} and fanout {fanout}")
    hosts = tuple(f"h{i + 1}" for i in range(count))
    links: list[Link] = []
    switches: list[str] = []

    def grow(level: int, leaves: Iterator[str]) -> str:
        name = f"s{len(switches) + 1}"
        switches.append(name)
        for _ in range(fanout):
            child = next(leaves) if level == depth else grow(level + 1, leaves)
            links.append(Link((name, child)))
        return name

    grow(1, iter(hosts))
    name = f"tree-d{depth}f{fanout}-{count}hosts"
    return Network("tree", name, hosts, tuple(switches), tuple(links), depth, fanout)


def single_switch(count: int) -> Network:
    """All hosts on one switch.

    Raises:
        ConfigError: too few or too many hosts.
    """
    _check(count, "a single switch")
    hosts = tuple(f"h{i + 1}" for i in range(count))
    links = tuple(Link(("s1", host)) for host in hosts)
    return Network(
        "single-switch", f"single-switch-{count}hosts", hosts, ("s1",), links
    )


def linear(count: int) -> Network:
    """A line of switches with one host each.

    Raises:
        ConfigError: too few or too many hosts.
    """
    _check(count, "a line")
    hosts = tuple(f"h{i + 1}" for i in range(count))
    switches = tuple(f"s{i + 1}" for i in range(count))
    links = [Link(pair) for pair in zip(switches, hosts, strict=True)]
    links += [Link(pair) for pair in itertools.pairwise(switches)]
    return Network("linear", f"linear-{count}hosts", hosts, switches, tuple(links))


def dumbbell(count: int) -> Network:
    """Two switches and a trunk between them: broker and publishers on one side, the
    subscribers on the other. Only the trunk is shaped, so it is the bottleneck.

    Raises:
        ConfigError: too few or too many hosts.
    """
    _check(count, "a dumbbell")
    hosts = tuple(f"h{i + 1}" for i in range(count))
    right = Placement.of(count).subscribers
    links = [
        Link(("s2" if i in right else "s1", host), shaped=False)
        for i, host in enumerate(hosts)
    ]
    links.append(Link(("s1", "s2")))
    name = f"dumbbell-{count}hosts"
    return Network("dumbbell", name, hosts, ("s1", "s2"), tuple(links))


# Networks that a number of hosts decides, by kind. A new kind is added here, and to
# `pubsub_perf.plots.network_layout`.
OF_HOSTS: Final[Mapping[str, Callable[[int], Network]]] = {
    "single-switch": single_switch,
    "linear": linear,
    "dumbbell": dumbbell,
}
KINDS: Final = ("tree", *OF_HOSTS)


def _check(count: int, what: str) -> None:
    if count < MIN_HOSTS:
        raise ConfigError(
            f"{what} has {count} hosts; a broker, a publisher and a subscriber "
            f"need {MIN_HOSTS}"
        )
    if count > MAX_HOSTS:
        raise ConfigError(f"{what} has {count} hosts; at most {MAX_HOSTS} are possible")

"""The networks that axes span: kinds of topology, depths, fanouts, numbers of hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pubsub_common.errors import ConfigError
from pubsub_common.text.ascii_numbers import is_digits
from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network


def networks(
    names: Sequence[str],
    depths: Iterable[int],
    fanouts: Iterable[int],
    host_counts: Iterable[int],
) -> list[Network]:
    """The networks that ``names`` and the axes span, the smaller ones first. A name is
    a kind, or one network: ``tree-d3f2``, ``dumbbell-17``.

    Raises:
        ConfigError: an unknown name, or an impossible size.
    """
    fanouts = list(fanouts)
    host_counts = list(host_counts)
    found: list[Network] = []
    for name in names:
        kind, _, count = name.rpartition("-")
        if name == "tree":
            found += [topologies.tree(d, f) for d in depths for f in fanouts]
        elif tree := re.fullmatch(r"tree-d([0-9]+)f([0-9]+)", name):
            found.append(topologies.tree(int(tree[1]), int(tree[2])))
        elif name in topologies.OF_HOSTS:
            found += [topologies.OF_HOSTS[name](number) for number in host_counts]
        elif kind in topologies.OF_HOSTS and is_digits(count):
            found.append(topologies.OF_HOSTS[kind](int(count)))
        else:
            raise ConfigError(
                f"unknown topology {name!r}: choose from {', '.join(topologies.KINDS)}, "
                "or one network like tree-d3f2 or dumbbell-17"
            )
    unique = {network.name: network for network in found}
    return sorted(unique.values(), key=lambda network: len(network.hosts))

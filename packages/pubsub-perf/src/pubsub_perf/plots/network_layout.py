"""Places the nodes of a network on a plane.

A tree is drawn from its root down, or, with many hosts, from its root outwards; hosts of
a single switch are around it; a line of switches runs in rows; a dumbbell's
hosts are around its two ends. Coordinates have no unit; y grows upwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Final, NewType

from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network
from pubsub_perf.results import cell_fields
from pubsub_perf.results.cell_fields import Meta

_RADIAL_FROM: Final = 33
# More hosts around a switch are in several rings, so that marks do not overlap.
_RINGS_FROM: Final = 81
_RINGS: Final = 3
_RING: Final = 0.11
# From a switch in a line to its host.
_UP: Final = 0.75

Point = NewType("Point", tuple[float, float])


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """``places`` of all nodes; ``spacing`` is the distance of neighbouring hosts."""

    network: Network
    places: Mapping[str, Point]
    spacing: float


def network_of(meta: Meta | None) -> Network | None:
    """The network that ``cell.json`` describes; None for an unknown one."""
    about = cell_fields.section(meta, "topology")
    hosts = cell_fields.count(about, "hosts") or 0
    depth = cell_fields.count(about, "depth") or 0
    fanout = cell_fields.count(about, "fanout") or 0
    kind = cell_fields.text(about, "kind")
    if not topologies.MIN_HOSTS <= hosts <= topologies.MAX_HOSTS:
        return None
    network: Network | None = None
    if kind == "tree" and fanout and 0 < depth <= 10 and fanout**depth == hosts:
        network = topologies.tree(depth, fanout)
    elif kind is not None and kind in topologies.OF_HOSTS:
        network = topologies.OF_HOSTS[kind](hosts)
    if network is None or dict(about) != network.describe():
        return None
    return network


def layout(network: Network) -> Layout:
    """A place for each node."""
    places = PLACES[network.kind](network)
    hosts = [places[host] for host in network.hosts]
    spacing = min(
        math.dist(a, b)
        for apart in range(1, _RINGS + 1)
        for a, b in zip(hosts, hosts[apart:], strict=False)
    )
    if network.kind == "linear":
        spacing = min(spacing, _UP)
    return Layout(network, places, spacing)


def _at(x: float, y: float) -> Point:
    return Point((x, y))


def _polar(radius: float, turn: float) -> Point:
    """``turn`` goes from 0 at the top, clockwise, to 1."""
    angle = math.tau * turn
    return _at(radius * math.sin(angle), radius * math.cos(angle))


def _ring(hosts: tuple[str, ...]) -> dict[str, Point]:
    count = len(hosts)
    return {h: _polar(_radius(i, count), i / count) for i, h in enumerate(hosts)}


def _radius(number: int, count: int) -> float:
    """The distance of one of ``count`` hosts from the middle."""
    if count < _RINGS_FROM:
        return 1.0
    # The first is between the second and the last: it has its own ring.
    return 1.0 + _RING * (number % _RINGS if number else -1)


def _tree(network: Network) -> dict[str, Point]:
    """Each switch is over the middle of the hosts below it."""
    children: dict[str, list[str]] = {}
    for link in network.links:
        children.setdefault(link.ends[0], []).append(link.ends[1])
    number = {host: i for i, host in enumerate(network.hosts)}
    depth = network.depth or 1
    radial = len(network.hosts) >= _RADIAL_FROM
    places: dict[str, Point] = {}

    def place(node: str, level: int) -> float:
        below = [place(child, level + 1) for child in children.get(node, ())]
        middle = (below[0] + below[-1]) / 2 if below else float(number[node])
        if radial:
            host = number.get(node)
            far = level / depth if host is None else _radius(host, len(number))
            places[node] = _polar(far, middle / len(network.hosts))
        else:
            wide = max(1, len(network.hosts) - 1)
            places[node] = _at(2.4 * middle / wide, -level / depth)
        return middle

    place(network.switches[0], 0)
    return places


def _line(network: Network) -> dict[str, Point]:
    count = len(network.hosts)
    columns = count if count <= 16 else round(math.sqrt(count * 1.6))
    places = {}
    for i, (switch, host) in enumerate(
        zip(network.switches, network.hosts, strict=True)
    ):
        row, column = divmod(i, columns)
        x = float(column if row % 2 == 0 else columns - 1 - column)
        places[switch] = _at(x, -1.6 * row)
        places[host] = _at(x, -1.6 * row + _UP)
    return places


def _dumbbell(network: Network) -> dict[str, Point]:
    left, right = network.switches
    sides: dict[str, list[str]] = {left: [], right: []}
    for link in network.links:
        if link.shaped:
            continue
        sides[link.ends[0]].append(link.ends[1])
    places = {left: _at(-0.5, 0), right: _at(0.5, 0)}
    for switch, hosts in sides.items():
        outwards = -1 if switch == left else 1
        for i, host in enumerate(hosts):
            share = (i + 0.5) / len(hosts)
            x, y = _polar(1.0, 0.02 + 0.46 * share)
            places[host] = _at(outwards * (0.5 + x), y)
    return places


def _star(network: Network) -> dict[str, Point]:
    return {network.switches[0]: _at(0, 0)} | _ring(network.hosts)


# The places of nodes, by kind of network.
PLACES: Final[Mapping[str, Callable[[Network], dict[str, Point]]]] = {
    "tree": _tree,
    "single-switch": _star,
    "linear": _line,
    "dumbbell": _dumbbell,
}

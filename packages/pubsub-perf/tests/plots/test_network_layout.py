"""Where nodes of a network are drawn, and which networks are known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network
from pubsub_perf.plots.network_layout import PLACES, layout, network_of

NETWORKS = [
    topologies.tree(2, 2),
    topologies.tree(5, 2),
    topologies.tree(4, 4),
    topologies.single_switch(3),
    topologies.single_switch(256),
    topologies.linear(4),
    topologies.linear(256),
    topologies.dumbbell(3),
    topologies.dumbbell(256),
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_node_has_a_place_of_its_own(network: Network) -> None:
    plan = layout(network)
    assert set(plan.places) == {*network.hosts, *network.switches}
    hosts = [plan.places[host] for host in network.hosts]
    distances = (math.dist(a, b) for a, b in itertools.combinations(hosts, 2))
    assert min(distances) > 0.9 * plan.spacing > 0
    switches = [plan.places[switch] for switch in network.switches]
    assert all(math.dist(h, s) > 1e-6 for h in hosts for s in switches)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_the_same_network_is_drawn_the_same_way(network: Network) -> None:
    assert layout(network) == layout(network)


def test_a_switch_is_over_the_middle_of_its_hosts() -> None:
    places = layout(topologies.tree(2, 2)).places
    (x1, y1), (x2, _), (xs, ys) = places["h1"], places["h2"], places["s2"]
    assert xs == pytest.approx((x1 + x2) / 2)
    assert ys > y1


def test_a_line_of_switches_runs_back_and_forth() -> None:
    places = layout(topologies.linear(100)).places
    links = [
        link.ends for link in topologies.linear(100).links if "h" not in link.ends[1]
    ]
    steps = [math.dist(places[a], places[b]) for a, b in links]
    assert max(steps) < 2 * min(steps)


def test_the_two_ends_of_a_dumbbell_are_on_two_sides() -> None:
    network = topologies.dumbbell(20)
    places = layout(network).places
    sides = {link.ends[1]: link.ends[0] for link in network.links if not link.shaped}
    assert all((places[h][0] < 0) is (s == "s1") for h, s in sides.items())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_network_is_known_by_its_description(network: Network) -> None:
    assert network_of({"topology": network.describe()}) == network


@pytest.mark.parametrize(
    "about",
    [
        None,
        "tree",
        {},
        {"kind": "ring", "hosts": 8},
        {"kind": "linear", "hosts": 2},
        {"kind": "linear", "hosts": 10**9},
        {"kind": "linear", "hosts": 8},  # How many switches, it does not say.
        {"kind": "linear", "hosts": 8, "switches": 1, "links": 8},
        topologies.tree(2, 2).describe() | {"depth": 3},
        topologies.tree(2, 2).describe() | {"fanout": 10**9},
        topologies.tree(2, 2).describe() | {"depth": 10**9},
    ],
    ids=str,
)
def test_other_networks_are_not_drawn(about: Any) -> None:
    assert network_of({"topology": about}) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
keys = st.sampled_from(["kind", "hosts", "depth", "fanout", "switches", "links"])


@given(st.dictionaries(keys, json | st.sampled_from(topologies.KINDS)))
def test_no_description_is_a_failure(about: dict[str, Any]) -> None:
    network_of({"topology": about})


def test_every_kind_of_network_has_a_layout() -> None:
    assert set(PLACES) == set(topologies.KINDS)

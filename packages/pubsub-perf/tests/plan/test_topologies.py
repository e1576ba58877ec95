"""Networks as data."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_perf.plan import topologies
from pubsub_perf.plan.topologies import Network, Placement


def reachable(network: Network) -> set[str]:
    """All nodes that can be reached from the first host."""
    neighbours: dict[str, set[str]] = {}
    for link in network.links:
        first, second = link.ends
        neighbours.setdefault(first, set()).add(second)
        neighbours.setdefault(second, set()).add(first)
    seen: set[str] = set()
    waiting = [network.hosts[0]]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += neighbours.get(node, ())
    return seen


@pytest.mark.parametrize(
    "network",
    [topologies.tree(2, 3), *(make(9) for make in topologies.OF_HOSTS.values())],
    ids=lambda network: network.kind,
)
def test_a_group_has_hosts_of_its_own_beside_the_first_broker(network: Network) -> None:
    assert topologies.with_group(network, 1) is network
    group = topologies.with_group(network, 3)
    assert group.hosts == network.hosts
    assert group.nodes == (*network.hosts, "broker2", "broker3", "etcd")
    assert group.name == network.name
    assert reachable(group) == {*group.nodes, *group.switches}
    assert group.describe() == {
        **network.describe(),
        "links": len(network.links) + 3,
        "group_hosts": 3,
    }
    (own,) = [link for link in network.links if network.hosts[0] in link.ends]
    added = group.links[len(network.links) :]
    assert {link.shaped for link in added} == {own.shaped}


def test_a_group_takes_no_clients_place() -> None:
    one, three = Placement.of(9), Placement.of(9, 3)
    assert (one.brokers, one.etcd) == ((0,), None)
    assert (three.brokers, three.etcd) == ((0, 9, 10), 11)
    assert (three.publishers, three.subscribers) == (one.publishers, one.subscribers)


@given(depth=st.integers(1, 4), fanout=st.integers(1, 5))
def test_a_tree_has_fanout_to_the_depth_hosts_and_no_loops(
    depth: int, fanout: int
) -> None:
    if not topologies.MIN_HOSTS <= fanout**depth <= topologies.MAX_HOSTS:
        with pytest.raises(ConfigError, match="hosts"):
            topologies.tree(depth, fanout)
        return
    network = topologies.tree(depth, fanout)
    assert len(network.hosts) == fanout**depth
    assert len(network.switches) == sum(fanout**level for level in range(depth))
    # Connected with one link fewer than nodes: a tree.
    assert reachable(network) == {*network.hosts, *network.switches}
    assert len(network.links) == len(network.hosts) + len(network.switches) - 1
    children = Counter(link.ends[0] for link in network.links)
    assert set(children.values()) == {fanout}


@given(
    kind=st.sampled_from(["single_switch", "linear", "dumbbell"]),
    count=st.integers(3, 60),
)
def test_the_other_kinds_connect_every_host_without_loops(
    kind: str, count: int
) -> None:
    network: Network = getattr(topologies, kind)(count)
    nodes = {*network.hosts, *network.switches}
    assert len(network.hosts) == count
    assert reachable(network) == nodes
    assert len(network.links) == len(nodes) - 1


def test_networks_are_named_as_the_folder_contract_says() -> None:
    assert topologies.tree(3, 2).name == "tree-d3f2-8hosts"
    assert topologies.single_switch(8).name == "single-switch-8hosts"
    assert topologies.linear(5).name == "linear-5hosts"
    assert topologies.dumbbell(9).name == "dumbbell-9hosts"


def test_only_the_trunk_of_a_dumbbell_is_shaped() -> None:
    network = topologies.dumbbell(9)
    shaped = [link.ends for link in network.links if link.shaped]
    assert shaped == [("s1", "s2")]


def test_a_dumbbell_has_the_subscribers_behind_the_trunk() -> None:
    network = topologies.dumbbell(9)
    place = Placement.of(9)
    right = {
        host
        for ends in (x.ends for x in network.links)
        for host in ends[1:]
        if ends[0] == "s2"
    }
    assert right == {network.hosts[i] for i in place.subscribers}


@pytest.mark.parametrize("count", [0, 1, 2, 1001])
def test_impossible_sizes_are_refused(count: int) -> None:
    for make in (topologies.single_switch, topologies.linear, topologies.dumbbell):
        with pytest.raises(ConfigError, match=str(count)):
            make(count)


@given(st.integers(3, 1000))
def test_host_0_is_the_broker_and_the_rest_is_split(hosts: int) -> None:
    place = Placement.of(hosts)
    assert len(place.subscribers) == (hosts - 1) // 2
    assert [0, *place.publishers, *place.subscribers] == list(range(hosts))
    assert len(place.publishers) >= 1

"""Sweeps as lists of cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment import role_command_lines
from pubsub_perf.plan import cases, network_axes, topologies
from pubsub_perf.plan.cases import Case, Load


def case(**load: object) -> Case:
    return Case("centralized", topologies.tree(3, 2), Load(**load))  # type: ignore[arg-type]


@given(events=st.integers(1, 200), topics=st.integers(1, 30))
def test_what_subscribers_expect_adds_up_to_what_publishers_send(
    events: int, topics: int
) -> None:
    load = Load(events=events, topics=topics, warmup_events=2)
    # iteration % len(topics) picks the topic of a publisher's event
    sent = [iteration % topics for iteration in range(load.sent)]
    assert [load.events_of(i) for i in range(topics)] == [
        sent.count(i) for i in range(topics)
    ]


def test_every_subscriber_expects_the_events_of_its_topic_of_every_publisher() -> None:
    measured = case(events=10, topics=3, warmup_events=0)
    assert len(measured.placement.publishers) == 4
    assert [measured.expected(i) for i in range(4)] == [16, 12, 12, 16]


def test_the_warm_up_comes_on_top_for_every_publisher_and_topic() -> None:
    measured = case(events=10, topics=2, warmup_events=5)
    assert measured.load.sent == 20
    assert measured.expected(0) == 4 * 10
    words = role_command_lines.publisher(measured, 0, "10.0.0.2", "10.0.0.1")
    assert words[words.index("--max-event-count") + 1] == "20"


def test_runs_come_round_after_round_with_the_models_in_turn() -> None:
    two = [topologies.tree(2, 2), topologies.tree(3, 2)]
    found = cases.cases(cases.MODELS, two, Load(), repeats=3)
    assert [c.run for c in found] == [1] * 4 + [2] * 4 + [3] * 4
    assert [c.model for c in found] == ["centralized", "decentralized"] * 6
    assert found[0].phases_ns() != found[4].phases_ns()


def test_both_models_get_the_same_phases_within_one_interval() -> None:
    network = topologies.single_switch(9)
    load = Load(interval_s=0.5)
    one, other = (Case(model, network, load).phases_ns() for model in cases.MODELS)
    assert one == other
    assert len(set(one)) == 4
    assert all(0 <= phase < 500_000_000 for phase in one)
    assert Case("centralized", network, Load(seed=2)).phases_ns() != one


def test_both_models_get_the_same_random_arrivals() -> None:
    network = topologies.single_switch(9)
    load = Load(arrivals="poisson")
    one, other = (Case(model, network, load).arrival_seeds() for model in cases.MODELS)
    assert one == other
    assert len(set(one)) == 4
    for case in (
        Case("centralized", network, load, run=2),
        Case("centralized", network, Load(arrivals="poisson", seed=2)),
    ):
        assert case.arrival_seeds() != one


def test_publishers_are_told_their_random_arrivals() -> None:
    network = topologies.single_switch(5)
    case = Case("centralized", network, Load(arrivals="poisson"))
    for index, seed in enumerate(case.arrival_seeds()):
        words = role_command_lines.publisher(case, index, "10.0.0.2", "10.0.0.1")
        assert words[words.index("--arrivals") + 1] == "poisson"
        assert words[words.index("--arrivals-seed") + 1] == str(seed)
    plain = Case("centralized", network, Load())
    assert "--arrivals" not in role_command_lines.publisher(plain, 0, "10.0.0.2", "")


def test_random_arrivals_may_take_longer() -> None:
    periodic = Load(events=100, wait_factor=1)
    random = Load(events=100, wait_factor=1, arrivals="poisson")
    assert random.deadline_s - periodic.deadline_s > 5 * random.sent**0.5 * 0.1


def test_the_wait_factor_gives_the_deadline_as_in_the_seed() -> None:
    assert (
        Load(events=100, interval_s=1, wait_factor=4).deadline_s == 400
    )  # warm-up or not
    # and is never so short that processes could not end
    assert Load(events=1, interval_s=0.01, wait_factor=1).deadline_s > 10


@pytest.mark.parametrize(
    ("load", "said"),
    [
        ({"events": 0}, "events"),
        ({"interval_s": 0}, "interval"),
        ({"interval_s": float("nan")}, "interval"),
        ({"interval_s": 1e300}, "interval must be at most 86400 s"),
        ({"payload_bytes": 10**12}, "payload_bytes must be at most 67108864"),
        ({"topics": 0}, "topics"),
        ({"brokers": 0}, "brokers"),
        ({"brokers": 257}, "brokers can be at most 256"),
        ({"payload_bytes": -1}, "payload"),
        ({"bandwidth_mbit": 0}, "bandwidth"),
        ({"bandwidth_mbit": 2000}, "at most 1000 Mbit/s"),
        ({"delay_ms": -1}, "delay"),
        ({"jitter_ms": 1}, "jitter varies the delay"),
        ({"jitter_ms": 3, "delay_ms": 2}, "at most 2 ms"),
        ({"loss_percent": 21}, "loss must be 0 to 20"),
        ({"arrivals": "often"}, "unknown arrivals 'often'"),
        ({"overflow": "wait"}, "unknown overflow 'wait'"),
        ({"queue_limit": 0}, "queue_limit"),
        ({"queue_bytes": 0}, "queue_bytes"),
        ({"wait_factor": 0}, "wait factor"),
        ({"warmup_events": -1}, "warmup"),
        ({"events": 2, "topics": 3}, "3 topics"),
    ],
)
def test_a_load_that_cannot_work_is_refused(load: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        cases.cases(cases.MODELS, [topologies.tree(2, 2)], case(**load).load)


def test_axes_span_networks_from_small_to_large() -> None:
    found = network_axes.networks(["single-switch", "tree"], [2, 3], [2, 3], [16, 4])
    assert [network.name for network in found] == [
        "single-switch-4hosts",
        "tree-d2f2-4hosts",
        "tree-d3f2-8hosts",
        "tree-d2f3-9hosts",
        "single-switch-16hosts",
        "tree-d3f3-27hosts",
    ]


def test_single_networks_can_be_named_and_come_once() -> None:
    names = ["tree-d2f4", "dumbbell-17", "single-switch", "single-switch-4"]
    found = network_axes.networks(names, [], [], [4])
    assert [network.name for network in found] == [
        "single-switch-4hosts",
        "tree-d2f4-16hosts",
        "dumbbell-17hosts",
    ]


def test_models_alternate() -> None:
    found = cases.cases(
        cases.MODELS, [topologies.tree(2, 2), topologies.tree(3, 2)], Load()
    )
    assert [c.model for c in found] == ["centralized", "decentralized"] * 2


def test_unknown_names_are_refused() -> None:
    for name in ("ring", "tree-3", "dumbbell-", "dumbbell-x", "single-switch-"):
        with pytest.raises(ConfigError, match=name):
            network_axes.networks([name], [2], [2], [4])
    with pytest.raises(ConfigError, match="anarchic"):
        cases.cases(["anarchic"], [topologies.tree(2, 2)], Load())


def test_command_lines_are_of_console_scripts_and_hold_no_path() -> None:
    measured = case(topics=2)
    lines = [
        role_command_lines.broker(measured, "10.0.0.1"),
        role_command_lines.publisher(measured, 0, "10.0.0.2", "10.0.0.1"),
        role_command_lines.subscriber(measured, 1, "10.0.0.8", "10.0.0.1"),
    ]
    assert [line[0] for line in lines] == [
        "pubsub-broker",
        "pubsub-publisher",
        "pubsub-subscriber",
    ]
    assert not [word for line in lines for word in line if word.startswith("/")]
    assert "--centralized" in lines[0]
    assert "--centralized" not in lines[1], "publishers are indifferent to the model"
    assert lines[2][lines[2].index("-t") + 1] == "B"


@pytest.mark.parametrize(
    ("network", "lease"),
    [(topologies.tree(3, 2), []), (topologies.tree(4, 4), ["--lease=64"])],
)
def test_leases_are_longer_where_one_machine_plays_many_hosts(
    network: topologies.Network, lease: list[str]
) -> None:
    words = role_command_lines.broker(Case("centralized", network, Load()), "10.0.0.1")

    assert [word for word in words if word.startswith("--lease")] == lease


def test_brokers_of_a_group_are_told_of_etcd_and_clients_of_all_brokers() -> None:
    words = role_command_lines.broker(
        case(brokers=2), "10.0.0.1", registry="etcd://10.0.0.9:2379"
    )
    assert words[words.index("--registry") + 1] == "etcd://10.0.0.9:2379"
    assert words[words.index("--group") + 1] == role_command_lines.GROUP
    assert "--registry" not in role_command_lines.broker(case(), "10.0.0.1")
    (grouped,) = cases.cases(
        ["centralized"], [topologies.single_switch(4)], Load(brokers=2)
    )
    assert grouped.network.group == ("broker2", "etcd")


def test_limits_of_queues_are_told_to_the_roles_that_keep_them() -> None:
    measured = case(overflow="block", queue_limit=10, queue_bytes=4096)
    limits = ["--queue-limit", "10", "--queue-bytes", "4096"]
    words = {
        "broker": role_command_lines.broker(measured, "10.0.0.1"),
        "publisher": role_command_lines.publisher(measured, 0, "10.0.0.2", "10.0.0.1"),
        "subscriber": role_command_lines.subscriber(
            measured, 0, "10.0.0.3", "10.0.0.1"
        ),
    }
    for role, line in words.items():
        told = limits if role == "subscriber" else ["--overflow", "block", *limits]
        at = line.index(told[0])
        assert line[at : at + len(told)] == told
    registry = Case("decentralized", measured.network, measured.load)
    assert "--overflow" not in role_command_lines.broker(registry, "10.0.0.1")

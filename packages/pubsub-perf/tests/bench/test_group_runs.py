"""Benchmarks of groups, small, with real brokers and etcd."""

from __future__ import annotations

import pytest
from support.etcd_servers import needs_etcd

from pubsub_perf.bench.group import forwarding, registry
from pubsub_perf.bench.group.suite import PARTS
from pubsub_perf.cli import main
from pubsub_perf.hosts import etcd_program


@pytest.mark.parametrize("brokers", [1, 3])
def test_events_reach_all_subscribers_of_a_group(brokers: int) -> None:
    needs_etcd()
    load = forwarding.zipf_topics(5, 12, 2, 64, 200.0, seed=1)
    found = forwarding.measure(load, brokers, 0.2)
    assert found.events == 40
    assert found.lost == 0
    assert found.delivered > 0
    assert len(found.broker_us) == brokers
    assert found.busiest_us > 0


def test_one_broker_needs_no_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_program, "unavailable", lambda: "there is none")
    load = forwarding.one_topic(3, 1000, 200.0)
    found = forwarding.measure(load, 1, 0.1, grouped=False)
    assert (found.delivered, found.lost) == (60, 0)


def test_a_subscriber_is_told_of_every_join_at_another_broker() -> None:
    needs_etcd()
    assert len(registry.join_latencies_ms(3)) == 3


def test_clients_of_a_broker_that_is_killed_register_at_others() -> None:
    needs_etcd()
    assert registry.move_s(20) > 0


def test_idle_clients_change_nothing_in_etcd() -> None:
    needs_etcd()
    assert registry.idle(10, 1.0).revisions == 0


def test_a_broker_knows_the_clients_of_another_one() -> None:
    needs_etcd()
    found = registry.mirror(30)
    assert found.writes_per_s > 0
    assert min(found.start.seconds, found.empty_start.processor_s) > 0


def test_loads_are_the_same_again() -> None:
    first, again = (
        forwarding.zipf_topics(8, 20, 3, 64, 100.0, seed=5) for _ in range(2)
    )
    assert first == again
    assert all(len(set(choice)) == 3 for choice in first.choices)
    assert sum(first.followers) == 60
    assert first.followers[0] == max(first.followers)
    assert 0 < first.taken <= 1


def test_words_that_name_no_bar_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_program, "unavailable", lambda: None)
    assert main(["bench", "--brokers", "--bars=A2,A99"]) == 2
    assert (
        f"no bar A99: choose from costs, {', '.join(PARTS)}" in capsys.readouterr().err
    )


def test_without_etcd_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_program, "unavailable", lambda: "install etcd-server")
    assert main(["bench", "--brokers"]) == 2
    assert "install etcd-server" in capsys.readouterr().err

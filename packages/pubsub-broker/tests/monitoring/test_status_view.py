"""The publishers and subscribers of each topic, from a status report."""

from __future__ import annotations

import msgspec
import pytest
from support.broker_reports import client, report

from pubsub_broker.monitoring import page_view
from pubsub_broker.monitoring.page_view import view_of
from pubsub_broker.monitoring.prometheus import losses_of, metrics_of
from pubsub_broker.monitoring.status_text import render
from pubsub_broker.monitoring.status_view import (
    losing_subscribers,
    rate,
    topics_of,
)
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import ClientStatus


def test_topics_have_their_clients_also_by_wildcards() -> None:
    status = report(
        client("publisher", "p", "a/b", "$x"),
        client("subscriber", "s", "a/+", "a/b", "c"),
        client("subscriber", "t", "#"),
    )

    found = {
        each.name: (each.publishers, each.subscribers) for each in topics_of(status)
    }

    assert found == {"$x": ([0], []), "a/b": ([0], [1, 2]), "c": ([], [1, 2])}


def test_losses_of_a_topic_are_added_up() -> None:
    status = report(
        client("subscriber", "s", "A", A=3), client("subscriber", "t", "A", A=4, B=1)
    )

    assert {each.name: each.lost for each in topics_of(status)} == {"A": 7, "B": 1}
    assert [each.address for each in losing_subscribers(status)] == ["t", "s"]


def test_sums_of_losses_stay_numbers_that_everybody_can_read() -> None:
    lots = {f"t{number}": numbers.LARGEST for number in range(3)}
    status = report(*(client("subscriber", name, "#", **lots) for name in "abc"))

    view = view_of(status)

    assert view.lost == numbers.LARGEST
    assert {topic.lost for topic in view.topics} == {numbers.LARGEST}
    assert msgspec.json.decode(msgspec.json.encode(view))["lost"] == numbers.LARGEST
    assert f"a: {numbers.LARGEST} events lost" in render(status)
    _, others = losses_of(status)
    assert others == 0
    assert all(
        sample.value == numbers.LARGEST
        for metric in metrics_of(status)
        if metric.name == "lost_events"
        for sample in metric.samples
    )


def test_rates_of_a_topic_are_added_up() -> None:
    def publisher(address: str, rates: dict[str, float] | None) -> ClientStatus:
        each = client("publisher", address, "A", "B", "C")
        return msgspec.structs.replace(each, rates=rates)

    status = report(publisher("p", {"A": 1.5, "B": 2.0}), publisher("q", {"A": 3.0}))
    told = {each.name: each.rate for each in topics_of(status)}
    assert told == {"A": 4.5, "B": 2.0, "C": 0.0}
    assert view_of(status).rate == 6.5

    unknown = report(publisher("p", None), client("subscriber", "s", "D"))
    assert {each.rate for each in topics_of(unknown)} == {None}
    assert view_of(unknown).rate is None


def test_the_rate_is_between_two_reports_of_one_broker() -> None:
    before = report(uptime_s=10.0, forwarded=100)
    after = report(uptime_s=12.0, forwarded=150)

    assert rate(before, after) == 25.0
    assert rate(None, after) is None
    assert rate(after, after) is None
    assert rate(before, report(epoch=2, uptime_s=12.0)) is None
    assert rate(before, report(model="decentralized", uptime_s=12.0)) is None


def test_a_page_is_told_no_session() -> None:
    status = report(client("publisher", "p", "A", session=987654321))

    assert b"987654321" not in msgspec.json.encode(view_of(status))


def test_a_page_has_the_same_order_whichever_client_spoke_last() -> None:
    clients = [client("subscriber", "s", "A"), client("publisher", "p", "A")]

    assert view_of(report(*clients)) == view_of(report(*reversed(clients)))


def test_a_page_is_bounded_and_shows_those_with_losses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_view, "MAX_SHOWN", 3)
    monkeypatch.setattr(page_view, "MAX_NAMES", 2)
    crowd = [client("publisher", f"p{n}", "A", f"only{n}", "C") for n in range(9)]

    view = view_of(report(*crowd, client("subscriber", "z", "Z", Z=5)))

    assert (view.publishers, view.subscribers, view.topic_count) == (9, 1, 12)
    assert [each.address for each in view.clients] == ["z", "p0", "p1"]
    assert (view.clients[1].topics, view.clients[1].more_topics) == (["A", "only0"], 1)
    assert [each.name for each in view.topics] == ["A", "C", "Z"]
    topic = view.topics[0]
    assert (topic.publishers, topic.publisher_count) == ([1, 2], 9)
    assert view.topics[2].subscribers == [0]


def test_a_filter_finds_names_addresses_and_topics_and_what_is_connected() -> None:
    named = msgspec.structs.replace(client("subscriber", "s", "#"), name="Archive")
    status = report(
        client("publisher", "p", "news/sport", "weather"),
        client("publisher", "q", "other"),
        named,
    )

    def found(text: str) -> tuple[list[str], list[str]]:
        view = view_of(status, text)
        assert view.topic_count == 3
        assert view.found.topics == len(view.topics)
        assert view.found.publishers + view.found.subscribers == len(view.clients)
        return [each.name for each in view.topics], [
            each.title for each in view.clients
        ]

    assert found("SPORT") == (["news/sport"], ["p", "Archive"])
    assert found("archive") == (["news/sport", "other", "weather"], ["Archive"])
    assert found("q") == (["other"], ["q"])
    assert found("nothing") == ([], [])

"""A group of brokers in text, screen, metrics, and joined reports."""

from __future__ import annotations

import io
import re

import msgspec
from rich.console import Console
from support.broker_reports import at, client, in_group, report

from pubsub_broker.monitoring.group_view import (
    group_of,
    joined,
    others,
    own_part,
)
from pubsub_broker.monitoring.prometheus import exposition
from pubsub_broker.monitoring.status_screen import screen
from pubsub_broker.monitoring.status_text import render
from pubsub_common.protocol.messages import Latency, Status

A, B, C = "10.0.0.1:5555", "10.0.0.2:5555", "10.0.0.3:5555"
PUBLISHER = client("publisher", "10.0.1.1:5556", "news", session=1)
NEAR = client("subscriber", "10.0.1.2", "news", session=2, news=3)
FAR = client("subscriber", "10.0.1.3", "news", session=3, news=4)


def seen_by_a(cut_off_s: float | None = None, gone: tuple[str, ...] = ()) -> Status:
    clients = (at(PUBLISHER, A, own=True), at(NEAR, A, own=True), at(FAR, B))
    status = report(*clients, epoch=500, forwarded=7)
    return in_group(status, A, B, C, gone=gone, cut_off_s=cut_off_s)


def seen_by_b() -> Status:
    clients = (at(PUBLISHER, A), at(NEAR, A), at(FAR, B, own=True))
    status = report(*clients, epoch=501, uptime_s=99.0, forwarded=8)
    return in_group(status, A, B, C, own=1)


def on_screen(status: Status, width: int = 110) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(screen(status, None, ""))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


def test_a_broker_alone_is_in_no_group() -> None:
    status = report(PUBLISHER)
    assert group_of(status) is None
    assert others(status) == []
    assert own_part(status) == status
    assert "group" not in render(status) + on_screen(status)
    assert b"group" not in exposition(status)[1]


def test_it_tells_its_brokers_and_where_the_clients_are() -> None:
    assert render(seen_by_a()).splitlines() == [
        "centralized broker of group lab, up for 10 s; "
        "1 publisher, 2 subscribers, 1 topic",
        "7 messages forwarded by this broker, 0.7 a second since its start (all topics "
        "together); 0 requests rejected",
        "brokers: 3",
        "  10.0.0.1:5555: 2 clients; version 0.1.0; this one",
        "  10.0.0.2:5555: 1 client; version 0.1.0",
        "  10.0.0.3:5555: 0 clients; version 0.1.0",
        "  losses, rates, latencies of other brokers' clients: --all",
        "  publisher 10.0.1.1:5556: news; last seen 0.5 s ago",
        "  subscriber 10.0.1.2: news; last seen 0.5 s ago; lost 3 of news",
        "  subscriber 10.0.1.3: news; at 10.0.0.2:5555",
        "topics: 1",
        "  news: 1 publisher, 2 subscribers; 3 lost",
        "slow consumers: 1",
        "  10.0.1.2: 3 events lost",
    ]


def test_brokers_that_are_gone_come_last_and_are_not_asked() -> None:
    status = seen_by_a(gone=(B,))
    lines = render(status).splitlines()
    assert lines[2:6] == [
        "brokers: 2, 1 gone",
        "  10.0.0.1:5555: 2 clients; version 0.1.0; this one",
        "  10.0.0.3:5555: 0 clients; version 0.1.0",
        "  10.0.0.2:5555: 1 client to move; version 0.1.0; gone",
    ]
    assert others(status) == [C]


def test_a_broker_that_is_cut_off_says_so_before_all_else() -> None:
    words = "cut off from the registry for 12 s"
    assert render(seen_by_a(cut_off_s=12.4)).splitlines()[2].startswith(words)
    assert words in on_screen(seen_by_a(cut_off_s=12.4))


def test_the_screen_has_a_table_of_brokers_and_where_the_clients_are() -> None:
    lines = [line.split() for line in on_screen(seen_by_a(gone=(C,))).splitlines()]
    assert ["broker", "version", "clients"] in lines
    assert [A, "0.1.0", "2", "this", "one"] in lines
    assert [C, "0.1.0", "0", "gone"] in lines
    assert ["10.0.1.3", "10.0.0.2", "news", "0"] in lines


def test_brokers_with_several_ports_are_called_by_both() -> None:
    status = in_group(
        report(at(FAR, "10.0.0.1:7"), epoch=5), "10.0.0.1:7", "10.0.0.1:8"
    )
    lines = [line.split() for line in on_screen(status).splitlines()]
    assert ["10.0.1.3", "10.0.0.1:7", "news", "0"] in lines


def test_at_80_columns_only_topics_are_cut() -> None:
    here, there = "192.168.100.200:5555", "192.168.100.201:5555"
    topics = ["a/topic/of/some/length/that/does/not/fit", "another"]
    latency = Latency(count=9, p50_ns=123_000, p99_ns=1_310_000, max_ns=12_300_000)
    subscriber = client("subscriber", "192.168.100.203", *topics, session=1)
    subscriber = msgspec.structs.replace(subscriber, latency=latency, idle_s=10.5)
    status = report(at(subscriber, here, own=True), epoch=5)
    text = on_screen(in_group(status, here, there), width=80)

    assert all(len(line) <= 80 for line in text.splitlines())
    (line,) = (line for line in text.splitlines() if line.startswith("192.168.100.203"))
    cells = re.split(r"\s{2,}", line.strip())
    assert cells[1] == "192.168.100.200"
    assert cells[2].endswith("…")
    assert cells[3:] == ["10.5 s", "0", "123 us", "1.31 ms", "12.3 ms"]


def test_metrics_are_of_the_brokers_own_clients_and_of_the_group() -> None:
    text = exposition(seen_by_a(gone=(C,), cut_off_s=2.5))[1].decode()
    for line in (
        'clients{role="publisher"} 1.0',
        'clients{role="subscriber"} 1.0',
        'group_info{group="lab"} 1.0',
        'group_brokers{state="alive"} 2.0',
        'group_brokers{state="gone"} 1.0',
        f'group_clients{{broker="{A}"}} 2.0',
        f'group_clients{{broker="{B}"}} 1.0',
        "registry_cut_off_seconds 2.5",
    ):
        assert f"pubsub_broker_{line}\n" in text
    assert "10.0.1.3" not in text


def test_a_broker_that_started_anew_is_one_figure() -> None:
    status = seen_by_a()
    before = msgspec.structs.replace(
        status.brokers[1], broker="1", alive=False, clients=5
    )
    status = msgspec.structs.replace(status, brokers=[*status.brokers, before])
    text = exposition(status)[1].decode()
    assert f'group_clients{{broker="{B}"}} 6.0' in text


def test_joined_reports_tell_all_of_all_clients() -> None:
    status = joined(seen_by_a(), {B: seen_by_b()})
    assert [each.session for each in status.clients] == [1, 2, 3]
    assert [sum(each.lost.values()) for each in status.clients] == [0, 3, 4]
    lines = render(status, asked={B: seen_by_b(), C: None}).splitlines()
    assert lines[3:6] == [
        "  10.0.0.1:5555: 2 clients; version 0.1.0; this one",
        "  10.0.0.2:5555: 1 client; version 0.1.0; up for 99 s, 8 messages forwarded",
        "  10.0.0.3:5555: 0 clients; version 0.1.0; does not answer",
    ]
    assert (
        "  subscriber 10.0.1.3: news; at 10.0.0.2:5555; last seen 0.5 s ago; "
        "lost 4 of news" in lines
    )


def test_a_client_that_came_between_two_reports_is_in_the_joined_one() -> None:
    new = at(client("publisher", "10.0.1.9:5556", "late", session=9), B, own=True)
    later = seen_by_b()
    later = msgspec.structs.replace(later, clients=[*later.clients, new])
    assert new in joined(seen_by_a(), {B: later}).clients

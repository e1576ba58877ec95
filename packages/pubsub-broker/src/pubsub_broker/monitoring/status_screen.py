"""A status report as a terminal screen; needs rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pubsub_broker.monitoring.group_view import GroupView, group_of, short_names
from pubsub_broker.monitoring.status_text import cut_off, headline, state_of, traffic
from pubsub_broker.monitoring.status_view import (
    Topic,
    client_title,
    in_order,
    rate,
    topics_of,
)
from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import ClientStatus, Status
from pubsub_common.text.printable import printable

# Longer names are cut, so that the numbers fit into 80 columns.
_TITLE_WIDTH: Final = 28
# What the keys sort by. All but the last sort topics too.
ORDERS: Final[Mapping[str, str]] = {
    "l": "lost",
    "n": "name",
    "r": "rate",
    "t": "latency",
}


def screen(
    status: Status,
    before: Status | None,
    trouble: str,
    order: str = "l",
    *,
    keys: bool = False,
) -> RenderableType:
    """The screen. ``before`` is the report an interval ago; ``trouble`` is the reason for
    an outdated report. Rows are sorted by ``order``, a key of `ORDERS`. ``keys``: name the
    keys."""
    topics = topics_of(status)
    earlier = {topic.name: topic.lost for topic in topics_of(before)} if before else {}
    same = before is not None and before.epoch == status.epoch
    parts: list[RenderableType] = [
        Text(headline(status, len(topics)), "bold"),
        Text(traffic(status, rate(before, status))),
    ]
    if keys:
        parts.append(_keys(order))
    group = group_of(status)
    away = None if group is None else cut_off(group)
    parts += [Text(printable(each), "bold red") for each in (away, trouble) if each]
    if group is not None:
        parts += ["", _brokers(group)]
    table = _table()
    table.add_column("topic", ratio=1)
    for title in ("pubs", "subs", "events/s", "lost", "lost now"):
        table.add_column(title, justify="right", no_wrap=True)
    for topic in _sorted_topics(topics, order):
        new = topic.lost - earlier.get(topic.name, 0) if same else 0
        table.add_row(
            _text(topic.name),
            str(len(topic.publishers)),
            str(len(topic.subscribers)),
            "" if topic.rate is None else f"{topic.rate:,.1f}",
            str(topic.lost),
            _text(f"{new:+d}" if new > 0 else "", "bold red"),
        )
    parts += ["", table]
    for role in ("publisher", "subscriber"):
        clients = [client for client in status.clients if client.role == role]
        if clients:
            parts += [
                "",
                _clients(
                    role,
                    clients,
                    order,
                    latency=role == "subscriber",
                    brokers=None if group is None else short_names(group),
                ),
            ]
    if status.expected:
        parts += ["", _clients("expected back", status.expected, order, roles=True)]
    return Group(*parts)


def _table() -> Table:
    """A table as wide as the screen, without borders, so that 80 columns are enough.
    Columns with a ratio share the remaining width."""
    return Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0))


def _brokers(group: GroupView) -> Table:
    table = _table()
    table.add_column("broker", ratio=1)
    table.add_column("version", no_wrap=True)
    table.add_column("clients", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in group.brokers:
        table.add_row(
            _text(each.address),
            _text(each.version),
            str(each.clients),
            _text(state_of(each), "" if each.alive else "bold red"),
        )
    return table


def _clients(
    title: str,
    clients: list[ClientStatus],
    order: str,
    *,
    roles: bool = False,
    latency: bool = False,
    brokers: Mapping[str, str] | None = None,
) -> Table:
    """``brokers``: the short names of the clients' brokers, by address."""
    table = _table()
    table.add_column(title, no_wrap=True, max_width=_TITLE_WIDTH)
    if roles:
        table.add_column("role", no_wrap=True)
    if brokers is not None:
        table.add_column("broker", no_wrap=True)
    table.add_column("topics", ratio=1)
    headings = ("seen", "lost", *(("p50", "p99", "max") if latency else ()))
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for client in _sorted_clients(clients, order):
        lost = numbers.total(client.lost.values())
        table.add_row(
            _text(client_title(client)),
            *([client.role] if roles else []),
            *([] if brokers is None else [_text(_broker(client, brokers))]),
            _text(", ".join(client.topics)),
            "" if client.idle_s is None else f"{client.idle_s:.1f} s",
            _text(str(lost), "bold red" if lost else ""),
            *(_latency(client) if latency else []),
        )
    return table


def _sorted_topics(topics: list[Topic], order: str) -> list[Topic]:
    """``topics`` are by name."""
    if order == "l":
        return sorted(topics, key=lambda each: -each.lost)
    if order == "r":
        return sorted(topics, key=lambda each: -(each.rate or 0.0))
    return topics


def _sorted_clients(clients: list[ClientStatus], order: str) -> list[ClientStatus]:
    def place(client: ClientStatus) -> float:
        match order:
            case "l":
                return -numbers.total(client.lost.values())
            case "r":
                return -sum((client.rates or {}).values())
            case "t":
                return -client.latency.p99_ns if client.latency else 0.0
        return 0.0

    return sorted(in_order(clients), key=place)


def _keys(order: str) -> Text:
    line = Text("q quit; sort by", "dim", no_wrap=True)
    for key, name in ORDERS.items():
        line.append(" ")
        line.append(f"{key} {name}", "bold not dim" if key == order else "")
    return line


def _broker(client: ClientStatus, brokers: Mapping[str, str]) -> str:
    return brokers.get(client.broker or "", client.broker or "")


def _latency(client: ClientStatus) -> list[str]:
    latency = client.latency
    if latency is None:
        return ["", "", ""]
    if latency.count == 1:  # which has no percentiles
        return ["", "", format_ns(latency.max_ns)]
    return [format_ns(ns) for ns in (latency.p50_ns, latency.p99_ns, latency.max_ns)]


def _text(text: str, style: str = "") -> Text:
    """Never interpreted as markup: clients choose topics."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")

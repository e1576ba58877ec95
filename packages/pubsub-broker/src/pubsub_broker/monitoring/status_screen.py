"""A status report as a terminal screen; needs rich."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pubsub_broker.monitoring.group_view import GroupView, group_of, short_names
from pubsub_broker.monitoring.status_text import cut_off, headline, state_of, traffic
from pubsub_broker.monitoring.status_view import (
    client_title,
    in_order,
    rate,
    topics_of,
)
from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.printable import printable
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import ClientStatus, Status


def screen(status: Status, before: Status | None, trouble: str) -> RenderableType:
    """The screen. ``before`` is the report a second ago; ``trouble`` is the reason for
    an outdated report."""
    topics = topics_of(status)
    earlier = {topic.name: topic.lost for topic in topics_of(before)} if before else {}
    same = before is not None and before.epoch == status.epoch
    parts: list[RenderableType] = [
        Text(headline(status, len(topics)), "bold"),
        Text(traffic(status, rate(before, status))),
    ]
    group = group_of(status)
    away = None if group is None else cut_off(group)
    parts += [Text(printable(each), "bold red") for each in (away, trouble) if each]
    if group is not None:
        parts += ["", _brokers(group)]
    table = _table()
    table.add_column("topic", ratio=1)
    for title in ("pubs", "subs", "events/s", "lost", "lost now"):
        table.add_column(title, justify="right", no_wrap=True)
    for topic in topics:
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
                    latency=role == "subscriber",
                    brokers=None if group is None else short_names(group),
                ),
            ]
    if status.expected:
        parts += ["", _clients("expected back", status.expected, roles=True)]
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
    *,
    roles: bool = False,
    latency: bool = False,
    brokers: Mapping[str, str] | None = None,
) -> Table:
    """``brokers``: the short names of the clients' brokers, by address."""
    table = _table()
    table.add_column(title, no_wrap=True)
    if roles:
        table.add_column("role", no_wrap=True)
    if brokers is not None:
        table.add_column("broker", no_wrap=True)
    table.add_column("topics", ratio=1)
    headings = ("seen", "lost", *(("p50", "p99", "max") if latency else ()))
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    # Subscribers with losses come first, since a screen is short.
    for client in sorted(
        in_order(clients), key=lambda each: -numbers.total(each.lost.values())
    ):
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


def _broker(client: ClientStatus, brokers: Mapping[str, str]) -> str:
    return brokers.get(client.broker or "", client.broker or "")


def _latency(client: ClientStatus) -> list[str]:
    latency = client.latency
    if latency is None:
        return ["", "", ""]
    return [format_ns(ns) for ns in (latency.p50_ns, latency.p99_ns, latency.max_ns)]


def _text(text: str, style: str = "") -> Text:
    """Never interpreted as markup: clients choose topics."""
    return Text(printable(text), style, no_wrap=True, overflow="ellipsis")

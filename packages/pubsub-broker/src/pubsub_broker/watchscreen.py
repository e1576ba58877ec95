"""A status report as a screen of a terminal; only where rich is installed. Shell."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pubsub_broker.statustext import headline, printable, traffic
from pubsub_broker.topology import in_order, rate, topics_of
from pubsub_common.latency import format_ns
from pubsub_common.messages import ClientStatus, Status


def screen(status: Status, before: Status | None, trouble: str) -> RenderableType:
    """What to show. ``before`` is the report a second ago; ``trouble`` says why there
    is no newer one."""
    topics = topics_of(status)
    earlier = {topic.name: topic.lost for topic in topics_of(before)} if before else {}
    same = before is not None and before.epoch == status.epoch
    parts: list[RenderableType] = [
        _text(headline(status, len(topics)), "bold"),
        _text(traffic(status, rate(before, status))),
    ]
    if trouble:
        parts.append(_text(trouble, "bold red"))
    table = Table("topic", expand=True, title="Topics", title_justify="left")
    for title in ("publishers", "subscribers", "events/s", "lost", "lost now"):
        table.add_column(title, justify="right")
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
    parts += [table, _clients("Clients", status.clients)]
    if status.expected:
        parts.append(_clients("Expected back", status.expected))
    return Group(*parts)


def _clients(title: str, clients: list[ClientStatus]) -> Table:
    table = Table("role", "address", "topics", expand=True, title=title)
    table.title_justify = "left"
    table.columns[2].no_wrap = True
    for heading in ("heard", "lost", "p50", "p99", "max"):
        table.add_column(heading, justify="right")
    # Who loses events is what one looks for, and a screen is short.
    for client in sorted(in_order(clients), key=lambda each: -sum(each.lost.values())):
        lost = sum(client.lost.values())
        table.add_row(
            client.role,
            _text(client.address),
            _text(", ".join(client.topics)),
            f"{client.idle_s:.1f} s",
            _text(str(lost), "bold red" if lost else ""),
            *_latency(client),
        )
    return table


def _latency(client: ClientStatus) -> list[str]:
    latency = client.latency
    if latency is None:
        return ["", "", ""]
    return [format_ns(ns) for ns in (latency.p50_ns, latency.p99_ns, latency.max_ns)]


def _text(text: str, style: str = "") -> Text:
    """Never as markup: topics come from strangers."""
    return Text(printable(text), style, overflow="ellipsis")

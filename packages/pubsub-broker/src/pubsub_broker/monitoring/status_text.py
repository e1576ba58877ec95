"""A status report as text."""

from __future__ import annotations

from collections.abc import Mapping

from pubsub_broker.monitoring.group_view import (
    GroupView,
    ShownBroker,
    elsewhere,
    group_of,
    own_broker,
)
from pubsub_broker.monitoring.status_view import (
    Topic,
    count,
    in_order,
    losing_subscribers,
    title_and_address,
    topics_of,
)
from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import BrokerStatus, ClientStatus, Status
from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable


def render(
    status: Status,
    rate: float | None = None,
    asked: Mapping[str, Status | None] | None = None,
) -> str:
    """Some lines on the broker and its group, then one for each client, topic and slow
    consumer.

    ``rate`` is the number of messages that it forwards per second; without it, the
    report has the mean since its start. ``asked`` are the answers of the other brokers
    of the group by address, if they were asked; None for a broker that did not answer.
    """
    topics = topics_of(status)
    lines = [headline(status, len(topics)), traffic(status, rate)]
    group = group_of(status)
    if group is not None:
        lines += _group(group, asked)
    own = own_broker(status)
    lines += [_line(client, "last seen", own) for client in in_order(status.clients)]
    if topics:
        lines.append(f"topics: {len(topics)}")
        lines += [f"  {_topic(topic)}" for topic in topics]
    losers = losing_subscribers(status)
    if losers:
        lines.append(f"slow consumers: {len(losers)}")
        lines += [
            f"  {title_and_address(client)}: "
            f"{counted(numbers.total(client.lost.values()), 'event')} lost"
            for client in losers
        ]
    if status.expected:
        lines.append(f"expected back: {len(status.expected)}")
        lines += [
            _line(client, "last known", own) for client in in_order(status.expected)
        ]
    return "\n".join(map(printable, lines))


def headline(status: Status, topics: int) -> str:
    """The model, the start time and the number of clients, for the whole group."""
    group = "" if status.registry is None else f" of group {status.registry.group}"
    return (
        f"{status.model} broker{group}, up for {status.uptime_s:.0f} s; "
        f"{counted(count(status.clients, 'publisher'), 'publisher')}, "
        f"{counted(count(status.clients, 'subscriber'), 'subscriber')}, "
        f"{counted(topics, 'topic')}"
    )


def traffic(status: Status, rate: float | None = None) -> str:
    """The events that pass through the broker, if it knows them. libzmq's proxy counts
    the messages of all topics together."""
    rejected = f"{counted(status.rejected, 'request')} rejected"
    if status.model != "centralized":
        return f"events do not pass through this broker; {rejected}"
    if rate is not None:
        speed = f"{rate:.1f} a second now"
    else:
        mean = status.forwarded / status.uptime_s if status.uptime_s > 0 else 0.0
        speed = f"{mean:.1f} a second since its start"
    here = "" if status.registry is None else " by this broker"
    return (
        f"{counted(status.forwarded, 'message')} forwarded{here}, {speed} "
        f"(all topics together); {rejected}"
    )


def cut_off(group: GroupView) -> str | None:
    """The line about a broker that does not reach its registry; None if it does."""
    if group.cut_off_s is None:
        return None
    return (
        f"cut off from the registry for {group.cut_off_s:.0f} s: the list of other "
        "brokers' clients is outdated"
    )


def state_of(broker: ShownBroker) -> str:
    """The state of a broker of a group, apart from its numbers; often empty."""
    if not broker.alive:
        return "gone"
    return "this one" if broker.own else ""


def _group(group: GroupView, asked: Mapping[str, Status | None] | None) -> list[str]:
    trouble = cut_off(group)
    lines = [trouble] if trouble else []
    gone = len(group.brokers) - group.alive
    lines.append(f"brokers: {group.alive}" + (f", {gone} gone" if gone else ""))
    for each in group.brokers:
        line = f"  {each.address}: {counted(each.clients, 'client')}"
        if not each.alive:
            line += " to move"
        line += f"; version {each.version}"
        if state := state_of(each):
            line += f"; {state}"
        elif asked is not None:
            line += f"; {_answer(asked.get(each.address))}"
        lines.append(line)
    if group.alive > 1 and asked is None:
        lines.append("  losses, rates, latencies of other brokers' clients: --all")
    return lines


def _answer(status: Status | None) -> str:
    if status is None:
        return "does not answer"
    text = f"up for {status.uptime_s:.0f} s"
    if status.model != "centralized":
        return text
    return f"{text}, {counted(status.forwarded, 'message')} forwarded"


def _topic(topic: Topic) -> str:
    line = (
        f"{topic.name}: {counted(len(topic.publishers), 'publisher')}, "
        f"{counted(len(topic.subscribers), 'subscriber')}"
    )
    if topic.rate is not None:
        line += f"; {topic.rate:,.1f} events/s"
    return f"{line}; {topic.lost} lost" if topic.lost else line


def _line(client: ClientStatus, seen: str, own: BrokerStatus | None) -> str:
    line = f"  {client.role} {title_and_address(client)}: {', '.join(client.topics)}"
    if broker := elsewhere(client, own):
        line += f"; at {broker}"
    if client.idle_s is not None:
        line += f"; {seen} {client.idle_s:.1f} s ago"
    if client.lost:
        lost = (f"{count} of {topic}" for topic, count in client.lost.items())
        line += f"; lost {', '.join(lost)}"
    if (latency := client.latency) is not None:
        percentiles = (
            f"p50 {format_ns(latency.p50_ns)}, p99 {format_ns(latency.p99_ns)}, max "
            if latency.count > 1  # one event has none
            else ""
        )
        line += (
            f"; latency {percentiles}{format_ns(latency.max_ns)} of "
            f"{counted(latency.count, 'event')}"
        )
    return line

"""A status report as text."""

from __future__ import annotations

from pubsub_broker.monitoring.status_view import (
    Topic,
    client_title,
    count,
    in_order,
    losing_subscribers,
    topics_of,
)
from pubsub_common.measurement.latency_histogram import format_ns
from pubsub_common.printable import printable
from pubsub_common.protocol import numbers
from pubsub_common.protocol.messages import ClientStatus, Status


def render(status: Status, rate: float | None = None) -> str:
    """Some lines on the broker, then one for each client, topic and slow consumer.

    ``rate`` is how many messages it forwards in a second; without it, the mean since
    its start is told.
    """
    topics = topics_of(status)
    lines = [headline(status, len(topics)), traffic(status, rate)]
    lines += [_line(client, "last seen") for client in in_order(status.clients)]
    if topics:
        lines.append(f"topics: {len(topics)}")
        lines += [f"  {_topic(topic)}" for topic in topics]
    losers = losing_subscribers(status)
    if losers:
        lines.append(f"slow consumers: {len(losers)}")
        lines += [
            f"  {client_title(client)}: {numbers.total(client.lost.values())} events lost"
            for client in losers
        ]
    if status.expected:
        lines.append(f"expected back: {len(status.expected)}")
        lines += [_line(client, "last known") for client in in_order(status.expected)]
    return "\n".join(map(printable, lines))


def headline(status: Status, topics: int) -> str:
    """What kind of broker, since when, and how many are there."""
    return (
        f"{status.model} broker, up for {status.uptime_s:.0f} s; "
        f"{number(count(status.clients, 'publisher'), 'publisher')}, "
        f"{number(count(status.clients, 'subscriber'), 'subscriber')}, "
        f"{number(topics, 'topic')}"
    )


def traffic(status: Status, rate: float | None = None) -> str:
    """What goes through the broker, as far as it can know. libzmq's proxy counts the
    messages of all topics together."""
    refused = f"{number(status.rejected, 'request')} refused"
    if status.model != "centralized":
        return f"events do not pass through this broker; {refused}"
    if rate is not None:
        speed = f"{rate:.1f} a second now"
    else:
        mean = status.forwarded / status.uptime_s if status.uptime_s > 0 else 0.0
        speed = f"{mean:.1f} a second since its start"
    return (
        f"{number(status.forwarded, 'message')} forwarded, {speed} "
        f"(all topics together); {refused}"
    )


def number(count: int, noun: str) -> str:
    """``1 topic``, ``2 topics``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _topic(topic: Topic) -> str:
    line = (
        f"{topic.name}: {number(len(topic.publishers), 'publisher')}, "
        f"{number(len(topic.subscribers), 'subscriber')}"
    )
    if topic.rate is not None:
        line += f"; {topic.rate:,.1f} events/s"
    return f"{line}; {topic.lost} lost" if topic.lost else line


def _line(client: ClientStatus, seen: str) -> str:
    line = f"  {client.role} {client_title(client)}: {', '.join(client.topics)}"
    if client.idle_s is not None:
        line += f"; {seen} {client.idle_s:.1f} s ago"
    if client.lost:
        lost = (f"{count} of {topic}" for topic, count in client.lost.items())
        line += f"; lost {', '.join(lost)}"
    if (latency := client.latency) is not None:
        line += (
            f"; latency p50 {format_ns(latency.p50_ns)}, p99 "
            f"{format_ns(latency.p99_ns)}, max {format_ns(latency.max_ns)} of "
            f"{number(latency.count, 'event')}"
        )
    return line

"""A status report as text for people. Core."""

from __future__ import annotations

from pubsub_common.messages import ClientStatus, Status


def render(status: Status) -> str:
    """Some lines on the broker, then one for each client."""
    lines = [
        f"{status.model} broker, up for {status.uptime_s:.0f} s; "
        f"{len(status.clients)} clients, {status.forwarded} messages forwarded, "
        f"{status.rejected} requests refused"
    ]
    lines += [_line(client, "heard") for client in status.clients]
    if status.expected:
        lines.append(f"expected back: {len(status.expected)}")
        lines += [_line(client, "last known") for client in status.expected]
    return "\n".join(lines)


def _line(client: ClientStatus, seen: str) -> str:
    line = (
        f"  {client.role} {client.address}: {', '.join(client.topics)}; "
        f"{seen} {client.idle_s:.1f} s ago"
    )
    if client.lost:
        lost = (f"{count} of {topic}" for topic, count in client.lost.items())
        line += f"; lost {', '.join(lost)}"
    return line

"""Parts of the pages on the protocol that are made: from the code, and from
``docs/protocol-vectors.json``."""

from __future__ import annotations

import functools
import importlib
import json
import logging
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import zmq

from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_broker.transport.control_socket import ControlSocket as BrokerControlSocket
from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net.sockets import DataSocket
from pubsub_common.queue_bounds import QueueBounds
from pubsub_subscriber.connections.sub_socket import SubSocket

VECTORS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parent.parent / "docs" / "protocol-vectors.json").read_text("utf-8")
)
_MESSAGES: Final = ("requests", "replies")
_log = logging.getLogger(__name__)


# Vectors


def vector_block(name: str) -> str:
    """A list of the vectors, as a block of text."""
    items = VECTORS[name]
    if name in _MESSAGES:
        lines = [compact(item) for item in items]
    elif name.startswith("refused_"):
        lines = [" ".join(str(value) for value in item.values()) for item in items]
    else:
        lines = ["\n".join(_fields(item)) + "\n" for item in items]
    return "```\n" + "\n".join(lines).rstrip("\n") + "\n```\n"


def compact(message: object) -> str:
    """A message as the code writes it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _fields(item: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {value if isinstance(value, str) else compact(value)}".rstrip()
        for name, value in item.items()
    ]


# Traces

ROLES: Final = ("subscriber", "client", "publisher", "broker")


def trace_block(role: str) -> str:
    """The traces of a role, as a block of text: what comes in, and what goes out."""
    texts = [_trace(trace) for trace in VECTORS["traces"] if trace["role"] == role]
    return "```\n" + "\n".join(texts) + "```\n"


def _trace(trace: dict[str, Any]) -> str:
    lines = [f"{trace['name']}: {trace['rule']}", f"  given {compact(trace['given'])}"]
    for step in trace["steps"]:
        at = f"  {step['at']:>5g} s"
        come = step.get("in", {})
        if come:
            lines.append(f"{at} <- {compact(come)}")
        lines += [f"{at} -> {compact(out)}" for out in step.get("out", ())]
        if not come and not step.get("out"):
            lines.append(at)
    lines.append(f"  counted {compact(trace['counted'])}")
    return "\n".join(lines) + "\n"


# Socket options


def sockets(
    context: zmq.Context[zmq.Socket[bytes]],
) -> Iterator[tuple[str, zmq.Socket[bytes]]]:
    """One socket of each kind, as the roles make them."""
    bounds = QueueBounds()
    broker = PlainSockets(context, bounds)
    yield "control", ControlSocket(context, "tcp://127.0.0.1:5555", None).socket
    yield "SUB", SubSocket(context, (), 0, bounds).socket
    yield "XPUB", DataSocket(context, zmq.XPUB, bounds).socket
    yield "broker ROUTER", BrokerControlSocket(context, AuditLog(_log)).socket
    yield "broker XSUB", broker.xsub
    yield "broker XPUB", broker.xpub


OPTIONS: Final = (
    *("SNDHWM", "RCVHWM", "SNDBUF", "RCVBUF", "IMMEDIATE", "MAXMSGSIZE"),
    *("HANDSHAKE_IVL", "HEARTBEAT_IVL", "CONNECT_TIMEOUT"),
    *("RECONNECT_IVL", "RECONNECT_IVL_MAX"),
    *("TCP_KEEPALIVE", "TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_INTVL"),
    *("TCP_KEEPALIVE_CNT", "IPV6"),
)


def option_table() -> str:
    """What each socket of the roles has set."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        columns = dict(sockets(context))
        kinds = {
            name: context.socket(int(socket.type)) for name, socket in columns.items()
        }
        rows = [
            f"| Option | {' | '.join(columns)} |",
            f"|---|{'---|' * len(columns)}",
        ]
        for option in OPTIONS:
            number = int(getattr(zmq, option))
            values = [
                _set_value(socket.get(number), kinds[name].get(number))
                for name, socket in columns.items()
            ]
            rows.append(f"| `ZMQ_{option}` | {' | '.join(values)} |")
        return "\n".join(rows) + "\n"
    finally:
        context.destroy(linger=0)


def _set_value(value: object, default: object) -> str:
    return str(value) if value == default else f"**{value}**"


# Times


class Time(NamedTuple):
    """A time, by what has it in the code: a module, and a name in it. Shown in ``form``."""

    module: str
    name: str
    what: str
    rule: str
    form: str = "{:g}"


_CONTROL: Final = "pubsub_common.defaults"
_SOCKETS: Final = "pubsub_common.net.sockets"
_CLOCK: Final = "pubsub_common.client.clock_offset"
_STREAM: Final = "pubsub_subscriber.streams"
_READY: Final = "pubsub_subscriber.ready_wait"
_DIRECT: Final = "pubsub_subscriber.connections.direct"
TIMES: Final = (
    Time(
        _CONTROL,
        "REGISTER_RETRY_S",
        "`register` that could not be sent",
        "Try again, or at once when there is a connection. Also after `farewell`.",
    ),
    Time(
        _CONTROL,
        "REGISTER_ANSWER_S",
        "`register` without an answer",
        "Send it again, with another `id`, on the same connection.",
    ),
    Time(
        _CONTROL,
        "REGISTER_LATER_S",
        "`register` answered with `too_fast` or `session_in_use`",
        "Send it again.",
    ),
    Time(
        _CONTROL,
        "LEASE_S",
        "lease",
        "The default of a broker; `registered` says which one counts.",
    ),
    Time(
        _CONTROL,
        "HEARTBEATS_PER_LEASE",
        "`heartbeat`",
        "Send `heartbeat` so often, and at once when the connection is back.",
        "lease / {}",
    ),
    Time(
        "pubsub_common.client.control_loop",
        "DISCONNECT_REPLY_S",
        "answer to `disconnect`",
        "Wait no longer for it. As long before that for the answer to a `register` that is "
        "under way, else the broker would keep the client for a lease.",
    ),
    Time(
        _CONTROL,
        "NOTIFY_DELAY_S",
        "pushes",
        "The broker collects changes for so long.",
    ),
    Time(
        _CLOCK,
        "BURST_INTERVAL_S",
        "`clock`, the first 8",
        "Ask so often at first.",
    ),
    Time(_CLOCK, "PROBE_INTERVAL_S", "`clock`, afterwards", "Ask so often."),
    Time(
        _READY,
        "_REPEAT_S",
        "ready answer that does not come",
        "Ask again with another attempt.",
    ),
    Time(
        _READY,
        "_REPEAT_MAX_S",
        "the same, at most",
        "Twice as long each time, up to here.",
    ),
    Time(
        _CONTROL,
        "ATTACH_TIMEOUT_S",
        "those that are there",
        "A publisher waits at most so long for the subscribers in `listeners`, and a "
        "subscriber for the publishers in `publishers`. Advice.",
    ),
    Time(
        f"{_STREAM}.held_stream",
        "RETRY_S",
        "recovery answer that does not come",
        "Ask again with another attempt.",
    ),
    Time(
        f"{_STREAM}.recovery",
        "_RETRY_MAX_S",
        "the same, at most",
        "Twice as long each time, up to here. What an answer brings begins this anew.",
    ),
    Time(
        _CONTROL,
        "RECOVER_TIMEOUT_S",
        "an event that is missing, with recovery",
        "It is lost when it has been missing for so long, and no answer has brought anything.",
    ),
    Time(
        "pubsub_common.protocol.recovery_messages",
        "POSITION_INTERVAL_S",
        "positions",
        "A publisher tells them so often.",
    ),
    Time(
        f"{_STREAM}.departures",
        "GRACE_S",
        "silence of a publisher that left",
        "Then its streams have ended. The lease instead, if that is longer.",
    ),
    Time(
        _DIRECT,
        "_MAX_DRAIN_S",
        "a publisher that left, secure",
        "Disconnect then, though more comes.",
    ),
    Time(
        "pubsub_publisher.sending.xpub_socket",
        "_LAST_REQUEST_S",
        "last question to a publisher that leaves",
        "It ends when none has come for so long.",
    ),
    Time(
        _DIRECT,
        "_RETRY_S",
        "CURVE handshake with a publisher that was refused",
        "Connect again, after twice as long each time.",
    ),
    Time(_DIRECT, "_RETRY_MAX_S", "the same, at most", "Up to here."),
    Time(
        "pubsub_common.client.handshake_diagnosis",
        "_RECONNECT_S",
        "control connection on which libzmq has given up",
        "Connect again.",
    ),
    Time(
        _CONTROL,
        "FIRST_SUBSCRIPTION_S",
        "first subscription at a data port",
        "A connection without one is closed.",
    ),
    Time(
        _SOCKETS,
        "DEAD_CONNECTION_S",
        "a link that is cut",
        "The side that receives notices it by TCP keep-alive.",
    ),
)


def time_table() -> str:
    """All times that are part of the protocol."""
    rows = ["| Seconds | Of what | Rule |", "|---|---|---|"]
    for each in TIMES:
        value = operator.attrgetter(each.name)(importlib.import_module(each.module))
        rows.append(f"| {each.form.format(value)} | {each.what} | {each.rule} |")
    return "\n".join(rows) + "\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "socket-options": option_table,
    "times": time_table,
    **{
        f"vectors-{name}": functools.partial(vector_block, name)
        for name in VECTORS
        if name != "traces"
    },
    **{f"traces-{role}": functools.partial(trace_block, role) for role in ROLES},
}

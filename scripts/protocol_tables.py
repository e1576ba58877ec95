"""The tables of socket options and times on the protocol's page, made from the code."""

from __future__ import annotations

import importlib
import logging
import operator
from collections.abc import Callable
from typing import Final, NamedTuple

import zmq

from pubsub_broker.forwarding.sockets import PlainSockets
from pubsub_broker.transport.control_socket import ControlSocket as BrokerControlSocket
from pubsub_common.client.control_socket import ControlSocket
from pubsub_common.logs.audit_log import AuditLog
from pubsub_common.net.sockets import DataSocket
from pubsub_common.queue_bounds import QueueBounds
from pubsub_subscriber.connections.sub_socket import SubSocket

_log = logging.getLogger(__name__)


# Socket options


def sockets(
    context: zmq.Context[zmq.Socket[bytes]],
) -> dict[str, list[zmq.Socket[bytes]]]:
    """The sockets of the roles, by kind."""
    bounds = QueueBounds()
    broker = PlainSockets(context, bounds)
    control = ControlSocket(context, "tcp://127.0.0.1:5555", None)
    return {
        "control DEALER": [control.socket],
        "SUB, XSUB": [SubSocket(context, (), 0, bounds).socket, broker.xsub],
        "XPUB": [DataSocket(context, zmq.XPUB, bounds).socket, broker.xpub],
        "broker's ROUTER": [BrokerControlSocket(context, AuditLog(_log)).socket],
    }


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
        columns = sockets(context)
        rows = [
            f"| Option | {' | '.join(columns)} |",
            f"|---|{'---|' * len(columns)}",
        ]
        for option in OPTIONS:
            number = int(getattr(zmq, option))
            values = [_value(number, same, context) for same in columns.values()]
            rows.append(f"| {option} | {' | '.join(values)} |")
        return "\n".join(rows) + "\n"
    finally:
        context.destroy(linger=0)


def _value(
    option: int,
    same: list[zmq.Socket[bytes]],
    context: zmq.Context[zmq.Socket[bytes]],
) -> str:
    """What these sockets have; bold, if it was set."""
    [value] = {int(socket.get(option)) for socket in same}
    with context.socket(int(same[0].type)) as fresh:
        return str(value) if value == int(fresh.get(option)) else f"**{value}**"


# Times


class Time(NamedTuple):
    """A time, by its module and its name in the code. Shown in ``form``."""

    module: str
    name: str
    what: str
    rule: str
    form: str = "{:g}"


_CONTROL: Final = "pubsub_common.defaults"
_SOCKETS: Final = "pubsub_common.net.sockets"
_CLOCK: Final = "pubsub_common.client.clock_offset"
_STREAM: Final = "pubsub_subscriber.streams"
_READY: Final = "pubsub_subscriber.streams.repetition"
_DIRECT: Final = "pubsub_subscriber.connections.secure_direct"
TIMES: Final = (
    Time(
        _CONTROL,
        "REGISTER_RETRY_S",
        "`register` could not be sent, or `farewell` has come",
        "Send `register`. Sooner, if there is a connection where there was none.",
    ),
    Time(
        _CONTROL,
        "REGISTER_ANSWER_S",
        "`register` is not answered",
        "Send it again, with another `id`, on the same connection.",
    ),
    Time(
        _CONTROL,
        "REGISTER_LATER_S",
        "`register` is answered with `too_fast` or `session_in_use`",
        "Send it again.",
    ),
    Time(
        _CONTROL,
        "LEASE_S",
        "lease",
        "The default of a broker. `registered` says which one holds.",
    ),
    Time(
        _CONTROL,
        "HEARTBEATS_PER_LEASE",
        "since the last `heartbeat`, or `registered`",
        "Send `heartbeat`. At once, when the connection is back.",
        "lease / {}",
    ),
    Time(
        "pubsub_common.client.goodbye",
        "DISCONNECT_REPLY_S",
        "`disconnect` is not answered",
        "End. If the answer to a `register` is due, wait as long for that before, and then send "
        "`disconnect`: else the broker keeps the client for a lease.",
    ),
    Time(
        _CONTROL,
        "BROKER_SILENCE_S",
        "of several brokers: `heartbeat` is not answered",
        "Look for another broker, and keep this one meanwhile. After `register` without an "
        "answer: leave.",
    ),
    Time(
        _CONTROL,
        "BROKER_ANSWER_S",
        "the same: none of two brokers answers `hello`",
        "Ask the next two. When all were asked, begin again, with twice the previous time.",
    ),
    Time(
        _CONTROL,
        "BROKER_ANSWER_MAX_S",
        "the same, at most, and with a connection to one; no broker was found that is not cut off",
        "Ask the next two. Look again.",
    ),
    Time(
        _CONTROL,
        "BROKER_COMPARE_S",
        "the same: one of two brokers has answered `hello`",
        "Do not wait for the other any longer. Wait 0.5 s if there is a connection to it; else as "
        "long as the first took, if that is more than 0.1 s, and at most 0.5 s.",
    ),
    Time(
        _CONTROL,
        "BROKER_AVOID_S",
        "the same: a broker was left, or did not answer",
        "It is asked like others again.",
    ),
    Time(
        _CONTROL,
        "NOTIFY_DELAY_S",
        "first change since the last push",
        "The broker pushes all changes by then.",
    ),
    Time(
        _CLOCK,
        "BURST_INTERVAL_S",
        "since the last `clock`, of the first 8",
        "Send `clock`.",
    ),
    Time(_CLOCK, "PROBE_INTERVAL_S", "the same, afterwards", "Send `clock`."),
    Time(
        _READY,
        "REPEAT_S",
        "a ready topic is not answered",
        "Ask again, with another attempt. Then after twice the time before.",
    ),
    Time(
        _READY,
        "REPEAT_MAX_S",
        "the same, at most",
        "Wait no longer than this before you ask again.",
    ),
    Time(
        _CONTROL,
        "ATTACH_TIMEOUT_S",
        "`registered` has come for the first time",
        "Advice: until then a publisher waits for those in `listeners` to be ready, and a "
        "subscriber for the answers of those in `publishers`.",
    ),
    Time(
        f"{_STREAM}.held_stream",
        "RETRY_S",
        "a recovery question is not answered",
        "Ask again, with another attempt. Then after twice the previous time. An answer with "
        "events resets the time.",
    ),
    Time(
        f"{_STREAM}.recovery",
        "_RETRY_MAX_S",
        "the same, at most",
        "Wait no longer than this before you ask again.",
    ),
    Time(
        _CONTROL,
        "RECOVER_TIMEOUT_S",
        "an event is missing, and no answer has brought anything",
        "It is lost. Advice: the user may choose this.",
    ),
    Time(
        "pubsub_common.protocol.recovery_messages",
        "POSITION_INTERVAL_S",
        "since the last positions",
        "A publisher tells them again.",
    ),
    Time(
        f"{_STREAM}.departures",
        "GRACE_S",
        "no message has come from a publisher that left",
        "Its missing events are lost; disconnect. Instead a lease, if that is longer.",
    ),
    Time(
        _DIRECT,
        "_MAX_DRAIN_S",
        "a publisher has left, and still publishes",
        "Disconnect, where the broker is secure.",
    ),
    Time(
        "pubsub_publisher.sending.xpub_socket",
        "_LAST_REQUEST_S",
        "no question has come to a publisher that leaves",
        "It closes its socket.",
    ),
    Time(
        _DIRECT,
        "_RETRY_S",
        "a CURVE handshake with a publisher was refused",
        "Connect again. Then after twice the time before.",
    ),
    Time(_DIRECT, "_RETRY_MAX_S", "the same, at most", "Wait no longer than this."),
    Time(
        "pubsub_common.client.handshake_diagnosis",
        "_RECONNECT_S",
        "libzmq has given up the control connection",
        "Connect again.",
    ),
    Time(
        _CONTROL,
        "FIRST_SUBSCRIPTION_S",
        "a connection to a data port has not subscribed to anything",
        "It is closed.",
    ),
    Time(
        _SOCKETS,
        "DEAD_CONNECTION_S",
        "a link is cut",
        "The side that receives notices it by then, by TCP keep-alive.",
    ),
)


def time_table() -> str:
    """All times that are part of the protocol."""
    rows = ["| After, in s | What | Rule |", "|---|---|---|"]
    for each in TIMES:
        value = operator.attrgetter(each.name)(importlib.import_module(each.module))
        rows.append(f"| {each.form.format(value)} | {each.what} | {each.rule} |")
    return "\n".join(rows) + "\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "socket-options": option_table,
    "times": time_table,
}

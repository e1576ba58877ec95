"""Log lines about clients, rejected messages and stalled forwarding."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pubsub_broker import config
from pubsub_broker.control.effects import (
    Departed,
    Effect,
    EventsLost,
    Joined,
    Moved,
    NotReturned,
    Rejected,
)
from pubsub_broker.monitoring.rejection_log import RejectionLog
from pubsub_broker.registry.interface import Client
from pubsub_common.logs.line_budget import LineBudget
from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.net.sockets import tcp_table
from pubsub_common.net.tcp_table import slowest_reader
from pubsub_common.protocol import numbers
from pubsub_common.protocol.endpoints import group_of, host_of, is_loopback
from pubsub_common.protocol.listening import near_host
from pubsub_common.protocol.messages import ClientStatus, Model
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import lost_line
from pubsub_common.security.unread_queues import Unread, unread_line
from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable

if TYPE_CHECKING:
    from pubsub_broker.served_address import ServedAddress

_log = logging.getLogger(__name__)

# A shorter stall of forwarding is not logged.
_STALL_S: Final = 1.0
# The most names in one line.
_NAMES: Final = 50
_TOPICS: Final = 5
# A client may have thousands of topics, and may register as often as it likes.
_CLIENT_TOPICS: Final = 20


class EventLog:
    """Lines for people: one for each client that joins or leaves, up to a rate, and one
    per interval for messages that may come in floods. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._rejections = RejectionLog()
        self._stalls = LogThrottle()
        self._budget = LineBudget()

    def started(
        self, model: Model, served: ServedAddress, security: str | None
    ) -> None:
        """Log the broker's address and model; ``security`` says how many clients are
        allowed, None: not secure."""
        host, port = served.host, served.port
        secure = "" if security is None else f", secure: {security}"
        _log.info("%s broker on %s:%d%s", model, host, port, secure)
        if served.advertised != (near_host(host), port):
            _log.info("advertised as %s", served.told)
        self._warn(config.open_access_warning(host, port, secure=security is not None))

    def write(self, effect: Effect, now: float) -> None:
        """Log an effect, if it has a log line."""
        match effect:
            case Joined(client, again, before):
                line = f"{_describe(client)} {_joined(client, before, again=again)}"
                self._about(client, logging.INFO, line, now)
            case Departed(client, reason):
                line = f"{_describe(client)} {reason}"
                self._about(client, logging.INFO, line, now)
            case Moved(client, broker):
                line = f"{_describe(client)} moved to broker {broker}"
                self._about(client, logging.INFO, line, now)
            case Rejected(peer, detail):
                self._warn(self._rejections.rejected(peer, detail, now))
            case EventsLost(client, events):
                for line in loss_lines(_place(client), events):
                    self._about(client, logging.WARNING, line, now)
            case NotReturned(clients):
                names = [f"{item.role} {_place(item)}" for item in clients]
                _log.warning(
                    "%s known before the restart did not reconnect: %s",
                    counted(len(names), "client"),
                    _first(names, _NAMES),
                )

    def tick(self, now: float) -> None:
        """Log delayed lines that are due."""
        self._warn(self._rejections.tick(now))
        self._warn(self._budget.summary(now))

    def report_lost(self, addresses: Iterable[str], bounds: QueueBounds) -> None:
        """Log connections to publishers that were closed, and are being reconnected."""
        for address in addresses:
            _log.warning("%s", lost_line(f"publisher {address}", bounds))

    def report_unread(self, closed: Iterable[Unread], now: float) -> None:
        """Log subscribers that were disconnected because too much waited for them."""
        for unread in closed:
            if self._stalls.allows(group_of(unread.connection.remote[0]), now):
                _log.warning("%s", unread_line("subscriber", unread))

    def report_stalled(self, held: Iterable[tuple[int, float]], now: float) -> None:
        """Log ports that are blocked because a subscriber does not read, and since
        when."""
        for port, since in held:
            if now - since < _STALL_S or not self._stalls.allows(port, now):
                continue
            table = tcp_table()
            found = None if table is None else slowest_reader(port, table)
            cause = "a subscriber is not reading"
            if found is not None:
                address, queued = found
                cause = f"the subscriber at {address} is not reading ({queued} bytes are queued)"
            _log.warning("forwarding waits: %s", cause)

    def _about(self, client: Client, level: int, line: str, now: float) -> None:
        if self._budget.allows(client.origin, line, now):
            _log.log(level, "%s", printable(line))

    def _warn(self, line: str | None) -> None:
        if line is not None:
            _log.warning("%s", printable(line))


def _joined(client: Client, before: Client | None, *, again: bool) -> str:
    """What a client did: it joined, or has other topics than ``before``."""
    was = dict.fromkeys(() if before is None else before.topics)
    now = dict.fromkeys(client.topics)
    added = [topic for topic in now if topic not in was]
    removed = [topic for topic in was if topic not in now]
    if before is None or not (added or removed):
        topics = _first(client.topics, _CLIENT_TOPICS) or "no topics yet"
        return f"{'rejoined' if again else 'joined'}: {topics}"
    changes = (("added", added), ("removed", removed))
    return "; ".join(
        f"{did} topics: {_first(topics, _CLIENT_TOPICS)}"
        for did, topics in changes
        if topics
    )


def loss_lines(subscriber: str, events: Mapping[str, int]) -> list[str]:
    """The lines about a subscriber that lost this many events of each topic."""
    lines = [
        f"subscriber {subscriber} lost {counted(count, 'event')} of {topic}"
        for topic, count in list(events.items())[:_TOPICS]
    ]
    rest = list(events.values())[_TOPICS:]
    if rest:
        lines.append(
            f"subscriber {subscriber} lost {counted(numbers.total(rest), 'event')} of {len(rest)} "
            "more topics"
        )
    return lines


def _first(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f", and {rest} more" if rest > 0 else "")


def _describe(client: Client) -> str:
    user = f" ({client.key_name})" if client.key_name else ""
    return f"{client.role} {_place(client)}{user}{_via(client)}"


def _via(client: Client) -> str:
    """The address that a client connects from, if it names another one."""
    host = client.address if client.role == "subscriber" else host_of(client.address)
    origin = client.origin
    if origin is None or origin in (host, group_of(host)) or is_loopback(origin):
        return ""
    return f" from {origin}"


def _place(client: Client | ClientStatus) -> str:
    return f"{client.name} at {client.address}" if client.name else client.address

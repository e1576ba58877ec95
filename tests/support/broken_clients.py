"""The project's roles with one fault each, to test that the conformance tool finds it.

``python -m support.broken_clients FAULT subscriber|publisher WORDS...`` runs the role's
console script with the fault, which has the name of the scenario that must fail.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import zmq

from pubsub_common.client import broker_moves, session
from pubsub_common.client.broker_choice import BrokerChoice
from pubsub_common.client.broker_moves import BrokerMoves
from pubsub_common.client.control_socket import ControlSocket, Received
from pubsub_common.client.open_requests import OpenRequests
from pubsub_common.client.session import ClientSession
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    BrokersChanged,
    Disconnect,
    Error,
    Farewell,
    HelloReply,
    Register,
    Registered,
)

Fault = Callable[[], None]
FAULTS: Final[dict[str, Fault]] = {}


def fault(*scenarios: str) -> Callable[[Fault], Fault]:
    """The fault with which these scenarios must fail."""

    def add(function: Fault) -> Fault:
        for scenario in scenarios:
            assert scenario not in FAULTS
            FAULTS[scenario] = function
        return function

    return add


def replaced(owner: Any, name: str, new: Callable[..., Any]) -> None:
    """Replace a function or method by ``new``; its first argument is the original."""
    before = getattr(owner, name)
    setattr(owner, name, lambda *args, **options: new(before, *args, **options))


def constant(module: Any, name: str, value: Any) -> None:
    """Change a constant of a module."""
    setattr(module, name, value)


def says(change: Callable[[Any], Any]) -> None:
    """Change each message to the broker; None: do not send it."""

    def send(before: Any, self: ControlSocket, request: messages.Request) -> bool:
        changed = change(request)
        return True if changed is None else bool(before(self, changed))

    replaced(ControlSocket, "send", send)


def hears(change: Callable[[Any], Any]) -> None:
    """Change each message from the broker; None: ignore it."""

    def receive(before: Any, self: ControlSocket) -> Received | None:
        received: Received | None = before(self)
        if received is None or received.reply is None:
            return received
        return received._replace(reply=change(received.reply))

    replaced(ControlSocket, "receive", receive)


def with_fields(kind: type[msgspec.Struct], **fields: Any) -> Callable[[Any], Any]:
    """Set these fields in messages of a kind: values or functions of the message."""

    def change(message: Any) -> Any:
        if not isinstance(message, kind):
            return message
        new: dict[str, Any] = {
            name: value(message) if callable(value) else value
            for name, value in fields.items()
        }
        return msgspec.structs.replace(message, **new)

    return change


def without(*kinds: type[msgspec.Struct]) -> Callable[[Any], Any]:
    """Ignore messages of these kinds."""
    return lambda message: None if isinstance(message, kinds) else message


@fault("registers")
def registers() -> None:
    says(with_fields(Register, topics=lambda sent: sent.topics[:1]))


@fault("no-broker-yet")
def no_broker_yet() -> None:
    """Requests wait in the socket, more than one before the broker starts."""
    constant(session, "REGISTER_ANSWER_S", 0.5)

    def connect(before: Any, self: ControlSocket) -> None:
        self.socket.setsockopt(zmq.IMMEDIATE, 0)
        before(self)

    replaced(ControlSocket, "connect", connect)


@fault("register-unanswered")
def register_unanswered() -> None:
    constant(session, "REGISTER_ANSWER_S", 0.2)


@fault("late-registered")
def late_registered() -> None:
    def registered(before: Any, self: OpenRequests, number: int) -> bool:
        self._register_id = number
        return bool(before(self, number))

    replaced(OpenRequests, "registered", registered)


@fault("late-alive")
def registered_by_alive() -> None:
    def receive(
        before: Any, self: ClientSession, reply: messages.Reply, now: float
    ) -> Any:
        if isinstance(reply, Alive) and reply.known and self.session is not None:
            self._registered = True
        return before(self, reply, now)

    replaced(ClientSession, "receive", receive)


@fault("too-fast", "session-in-use", "asks-the-same-again")
def too_fast() -> None:
    constant(session, "REGISTER_LATER_S", 0.0)


@fault("heartbeats")
def heartbeats() -> None:
    constant(session, "HEARTBEATS_PER_LEASE", 1)


@fault("other-lease")
def other_lease() -> None:
    hears(with_fields(Registered, lease_s=120.0))


@fault("known-false")
def known_false() -> None:
    hears(with_fields(Alive, known=True))


@fault("other-epoch")
def other_epoch() -> None:
    hears(with_fields(Alive, epoch=1000))


@fault("higher-revision")
def higher_revision() -> None:
    hears(with_fields(Alive, revision=0))


@fault("farewell")
def farewell() -> None:
    hears(without(Farewell))


@fault("silence")
def silence() -> None:
    def tick(before: Any, self: ClientSession, now: float, *more: Any) -> Any:
        self._last_reply_at = now
        return before(self, now, *more)

    replaced(ClientSession, "tick", tick)


@fault("heartbeat-at-reconnection")
def heartbeat_at_reconnection() -> None:
    replaced(ClientSession, "reconnected", lambda before, self, now: None)


@fault(
    "restart",
    "restart-with-publishers",
    "restart-in-stream",
    "told-numbers-again",
    "move-in-stream",
    "move-of-publisher",
)
def restart() -> None:
    says(with_fields(Register, session=None))


@fault(
    "heartbeat-refused",
    "heartbeat-refused-twice",
    "unknown-session",
    "expelled",
    "refused",
    "refused-unread",
)
def deaf_to_errors() -> None:
    hears(without(Error))


@fault("strange-error", "heartbeat-too-fast")
def strange_error() -> None:
    hears(lambda said: Farewell() if isinstance(said, Error) else said)


@fault("strange-version")
def strange_version() -> None:
    hears(with_fields(Registered, version=1))


@fault("disconnect", "terminates", "ends-at-signal", "ends")
def disconnect() -> None:
    says(without(Disconnect))


@fault("unknown-fields", "unknown-fields-of-pushes")
def unknown_fields() -> None:
    def decode(before: Any, data: bytes) -> Any:
        if b"colour" in data:
            raise ProtocolError("unknown field")
        return before(data)

    replaced(messages, "decode_reply", decode)


@fault("unknown-pushes", "malformed-messages", "flood-of-messages")
def unknown_pushes() -> None:
    """A message that it cannot read makes it register again."""

    def receive(before: Any, self: ControlSocket) -> Received | None:
        received = before(self)
        if received is not None and received.reply is None:
            return Received(Farewell(), received.at_ns)
        return received  # type: ignore[no-any-return]

    replaced(ControlSocket, "receive", receive)


# Several brokers


@fault("brokers-changed")
def deaf_to_brokers_changed() -> None:
    hears(without(BrokersChanged))


@fault("moves-at-broken-connection", "waits-for-brokers")
def knows_one_broker() -> None:
    hears(with_fields(Registered, brokers=[]))


@fault("moves-when-full")
def ends_without_room() -> None:
    replaced(BrokerMoves, "refused", lambda *_: False)


@fault("moves-at-farewell")
def waits_after_farewell() -> None:
    replaced(BrokerMoves, "lost", lambda *_, **__: None)


@fault("moves-at-silence", "moves-when-unanswered")
def waits_in_silence() -> None:
    constant(session, "BROKER_SILENCE_S", 60.0)


@fault("moves-when-cut-off")
def stays_at_cut_off() -> None:
    hears(with_fields(Alive, cut_off=False))


@fault("stays-when-all-cut-off", "avoids-cut-off")
def takes_cut_off() -> None:
    hears(with_fields(HelloReply, cut_off=False))


@fault("odd-brokers")
def takes_any_address() -> None:
    constant(broker_moves, "is_address", lambda _: True)


@fault("newest-brokers")
def keeps_all_brokers() -> None:
    ever: dict[str, None] = {}

    def learn(before: Any, self: BrokerChoice, brokers: Sequence[str]) -> None:
        ever.update(dict.fromkeys(brokers))
        before(self, list(ever))

    replaced(BrokerChoice, "learn", learn)


@fault("stays-otherwise")
def moves_too_soon() -> None:
    def forgotten(said: Any) -> Any:
        return Farewell() if isinstance(said, Alive) and not said.known else said

    hears(forgotten)


def main(words: list[str]) -> int:
    """Run a role with a fault; its exit code."""
    name, role, *rest = words
    FAULTS[name]()
    if role == "subscriber":
        from pubsub_subscriber import cli as subscriber

        return subscriber.main(rest)
    from pubsub_publisher import cli as publisher

    return publisher.main(rest)


if __name__ == "__main__":
    # The modules of the faults import this one by its name.
    from support import broken_clients, broken_publishers, broken_subscribers

    assert broken_publishers
    assert broken_subscribers
    sys.exit(broken_clients.main(sys.argv[1:]))

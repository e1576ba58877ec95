"""Several brokers round a client, and its way from one to another."""

from __future__ import annotations

from typing import Final

from pubsub_common.protocol.messages import Hello, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scripted_broker import ScriptedBroker
from pubsub_common.testing.conformance.stage import Stage

# What a broker must not name, and a client ignores.
NO_ADDRESSES: Final = (
    *("", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "a b:5555"),
)


def group(stage: Stage, number: int = 2) -> list[ScriptedBroker]:
    """So many brokers in all, of which the first tells the client when it registers."""
    while len(stage.brokers) < number:
        stage.another_broker()
    for broker in stage.brokers:
        broker.brokers = [each.address for each in stage.brokers]
    return stage.brokers


def known_group(stage: Stage, number: int = 2) -> list[ScriptedBroker]:
    """`group`, of which the client has heard; it has a lease of which it notices no
    silence."""
    brokers = group(stage, number)
    stage.join()
    stage.has_long_lease()
    return brokers


def moves(
    stage: Stage, to: ScriptedBroker, expected: str, within_s: float | None = None
) -> Register:
    """The client's `register` with another broker, which is its broker from then on.

    Raises:
        Failed: it was not asked before, or an earlier one hears more of the client.
    """
    before = stage.broker
    stage.until(lambda: to.of(Register), expected, within_s=within_s)
    if not isinstance(to.requests[0][1], Hello):
        raise Failed(
            "`hello` before `register` with a broker that it chooses",
            "`register` alone",
            page.SEVERAL,
        )
    heard = len(before.requests)
    stage.broker = to
    stage.goes_on("heartbeats alone after `registered` of the other broker")
    for _, request in before.requests[heard:]:
        if not isinstance(request, Hello):
            name = type(request).__name__.lower()
            raise Failed(
                "nothing more at the broker that it has left", f"`{name}`", page.SEVERAL
            )
    return to.of(Register)[0]

"""Which of several brokers a client takes."""

from __future__ import annotations

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Error,
    Farewell,
    Heartbeat,
    Register,
)
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.broker_group import (
    NO_ADDRESSES,
    group,
    known_group,
    moves,
)
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import BROKERS, for_both
from pubsub_common.testing.conformance.stage import Stage


@for_both(
    "avoids-cut-off",
    page.SEVERAL,
    "it avoids brokers that are cut off if another one is available",
    BROKERS,
)
def avoids_cut_off(stage: Stage) -> None:
    first, second, third = known_group(stage, 3)
    second.cut_off, second.clients = True, 0
    third.clients = 1000
    first.down()
    moves(stage, third, "`register` with the one broker that is not cut off")
    if second.of(Register):
        raise Failed(
            "`register` with the broker that is not cut off alone",
            "another one with the other broker",
            page.SEVERAL,
        )


@for_both(
    "newest-brokers",
    page.SEVERAL,
    "it only asks the brokers in the latest list",
    BROKERS,
)
def newest_brokers(stage: Stage) -> None:
    first, second, third = group(stage, 3)
    first.brokers = [first.address, second.address]
    stage.join()
    stage.has_long_lease()
    first.tell_brokers(first.address, third.address)
    first.send(Farewell())
    moves(stage, third, "`register` with the broker that the last list has")
    if second.requests:
        raise Failed(
            "nothing at a broker that the last list does not have",
            "`hello`",
            page.SEVERAL,
        )


@for_both(
    "odd-brokers",
    page.SEVERAL,
    "it ignores invalid addresses in the list of brokers",
    BROKERS,
)
def odd_brokers(stage: Stage) -> None:
    first, second = group(stage)
    first.brokers = [*NO_ADDRESSES, first.address, second.address]
    stage.join()
    stage.has_long_lease()
    first.send(Farewell())
    moves(stage, second, "`register` with the one broker that has an address")


@for_both(
    "waits-for-brokers",
    page.SEVERAL,
    "it retries when no broker answers, until one does",
    BROKERS,
)
def waits_for_brokers(stage: Stage) -> None:
    first, second = known_group(stage)
    second.down()
    first.down()
    stage.watch(2.0)
    second.up()
    moves(stage, second, "`register` with the first broker that is there again")


@for_both(
    "asks-the-same-again",
    page.SEVERAL,
    "it retries its chosen broker when that is too busy",
    BROKERS,
)
def asks_the_same_again(stage: Stage) -> None:
    first, second = known_group(stage)
    second.once(Register, lambda asked: [_too_fast(asked)])
    first.down()
    stage.until(
        lambda: len(second.of(Register)) > 1,
        "`register` again, a second after `too_fast`",
    )
    at_s = second.times_of(Register)
    if at_s[1] - at_s[0] < 0.5:
        raise Failed(
            "`register` again a second after `too_fast`",
            f"after {at_s[1] - at_s[0]:.2f} s",
            page.ERROR,
        )


@for_both(
    "moves-when-full",
    page.SEVERAL,
    "it asks the other brokers when one has no room, and ends when none has",
    BROKERS,
)
def moves_when_full(stage: Stage) -> None:
    first, second, third = group(stage, 3)
    stage.join()
    for broker in (first, second):
        broker.once(Register, *[_too_many] * 20)
    first.once(Heartbeat, lambda asked: [first.alive(asked, known=False)])
    moves(stage, third, "`register` with the broker that has room")
    third.once(Register, *[_too_many] * 20)
    stage.may_end = True
    third.send(Farewell())
    stage.until(
        lambda: stage.client.exit_code is not None,
        "its end, as no broker has room",
        section=page.ERROR,
    )


def _too_many(asked: Register) -> list[Error]:
    return [Error(id=asked.id, code=messages.TOO_MANY, detail="no room")]


def _too_fast(asked: Register) -> Error:
    return Error(id=asked.id, code=messages.TOO_FAST, detail="later")

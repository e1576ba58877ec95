"""Clients that know several brokers, and what those that know one must know of a group."""

from __future__ import annotations

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Alive,
    Error,
    Farewell,
    Heartbeat,
    Hello,
    Register,
)
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import BROKERS, for_both
from pubsub_common.testing.conformance.scripted_broker import ScriptedBroker
from pubsub_common.testing.conformance.stage import Stage

# A heartbeat each 4 s: a client that leaves for a lease of silence is late by far.
_SILENT_LEASE_S = 12.0
_SILENCE_S = 6.0


@for_both(
    "brokers-changed",
    page.SEVERAL,
    "`brokers_changed` is a push like others, wherever it goes on",
)
def brokers_changed(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    stage.broker.tell_brokers(stage.broker.address, "127.0.0.1:9")
    stage.broker.tell_brokers(stage.broker.address)
    stage.goes_on("heartbeats alone: each push had the next revision")
    stage.broker.revision += 1
    stage.broker.tell_brokers()
    stage.registers_again("`register` after a push whose revision is not the next one")
    stage.goes_on("heartbeats alone after `registered`")


@for_both(
    "moves-at-farewell",
    page.SEVERAL,
    "it goes to another broker when its own says farewell",
    BROKERS,
)
def moves_at_farewell(stage: Stage) -> None:
    first, second = _group(stage)
    first.send(Farewell())
    stage.moves(second, "`register` with the other broker after `farewell`")


@for_both(
    "moves-at-broken-connection",
    page.SEVERAL,
    "it goes to another broker when the connection to its own breaks",
    BROKERS,
)
def moves_at_broken_connection(stage: Stage) -> None:
    first, second = _group(stage)
    first.down()
    stage.moves(second, "`register` with the other broker, as the first one is gone")


@for_both(
    "moves-at-silence",
    page.SEVERAL,
    "it goes to another broker when a heartbeat is not answered for 2 s",
    BROKERS,
)
def moves_at_silence(stage: Stage) -> None:
    first, second = stage.group()
    first.lease_s = _SILENT_LEASE_S
    stage.join()
    first.silent = True
    stage.moves(
        second,
        "`register` with the other broker after a heartbeat without an answer",
        within_s=stage.patience_s + _SILENT_LEASE_S,
    )
    waited_s = second.times_of(Register)[0] - first.times_of(Heartbeat)[0]
    if not 1.5 <= waited_s <= _SILENCE_S:
        raise Failed(
            "`register` with the other broker 2 s after the heartbeat",
            f"{waited_s:.1f} s after it",
            page.SEVERAL,
        )


@for_both(
    "moves-when-unanswered",
    page.SEVERAL,
    "it goes to another broker when `register` is not answered",
    BROKERS,
)
def moves_when_unanswered(stage: Stage) -> None:
    first, second = stage.group()
    first.lease_s = 1.0
    stage.join()

    def forgets(asked: Heartbeat) -> list[Alive]:
        first.silent = True
        return [first.alive(asked, known=False)]

    first.once(Heartbeat, forgets)
    stage.moves(second, "`register` with the other broker after one without an answer")


@for_both(
    "moves-when-cut-off",
    page.SEVERAL,
    "it goes from a broker that is cut off to one that is not",
    BROKERS,
)
def moves_when_cut_off(stage: Stage) -> None:
    first, second = stage.group()
    first.lease_s = 1.0
    stage.join()
    first.cut_off = True
    stage.moves(second, "`register` with the other broker after `alive` with `cut_off`")


@for_both(
    "stays-when-all-cut-off",
    page.SEVERAL,
    "it stays with a broker that is cut off while no other is better",
    BROKERS,
)
def stays_when_all_cut_off(stage: Stage) -> None:
    first, second = stage.group()
    first.lease_s = 1.0
    stage.join()
    first.cut_off = second.cut_off = True
    stage.until(
        lambda: second.of(Hello), "`hello` at the other broker, which may be better"
    )
    stage.goes_on("heartbeats alone: the other broker is cut off too")
    if second.of(Register):
        raise Failed(
            "its broker to stay, as the other one is cut off too",
            "`register` with the other one",
            page.SEVERAL,
        )
    second.cut_off = False
    stage.moves(
        second, "`register` with the other broker, which is not cut off any more"
    )


@for_both(
    "avoids-cut-off",
    page.SEVERAL,
    "it takes no broker that is cut off, while another one can be had",
    BROKERS,
)
def avoids_cut_off(stage: Stage) -> None:
    first, second, third = _group(stage, 3)
    second.cut_off, second.clients = True, 0
    third.clients = 1000
    first.down()
    stage.moves(third, "`register` with the one broker that is not cut off")
    if second.of(Register):
        raise Failed(
            "`register` with the broker that is not cut off alone",
            "another one with the other broker",
            page.SEVERAL,
        )


@for_both(
    "newest-brokers",
    page.SEVERAL,
    "it asks the brokers that the last list has, and no others",
    BROKERS,
)
def newest_brokers(stage: Stage) -> None:
    first, second, third = stage.group(3)
    first.brokers = [first.address, second.address]
    stage.joined_for_long()
    first.tell_brokers(first.address, third.address)
    first.send(Farewell())
    stage.moves(third, "`register` with the broker that the last list has")
    if second.requests:
        raise Failed(
            "nothing at a broker that the last list does not have",
            "`hello`",
            page.SEVERAL,
        )


@for_both(
    "waits-for-brokers",
    page.SEVERAL,
    "it asks again when no broker answers, until one does",
    BROKERS,
)
def waits_for_brokers(stage: Stage) -> None:
    first, second = _group(stage)
    second.down()
    first.down()
    stage.watch(2.0)
    second.up()
    stage.moves(second, "`register` with the first broker that is there again")


@for_both(
    "stays-otherwise",
    page.SEVERAL,
    "it registers again with its own broker when that has forgotten it",
    BROKERS,
)
def stays_otherwise(stage: Stage) -> None:
    first, second = stage.group()
    first.lease_s = 1.0
    stage.join()
    first.once(Heartbeat, lambda asked: [first.alive(asked, known=False)])
    stage.registers_again("`register` after `alive` with `known` false")
    first.revision += 1
    first.tell_brokers(first.address, second.address)
    stage.registers_again("`register` after a push whose revision is not the next one")
    stage.goes_on("heartbeats alone after `registered`")
    if second.requests:
        raise Failed(
            "nothing at the other broker, as its own one is there",
            type(second.requests[0][1]).__name__.lower(),
            page.SEVERAL,
        )


@for_both(
    "asks-the-same-again",
    page.SEVERAL,
    "it asks the broker that it took again when that is too busy",
    BROKERS,
)
def asks_the_same_again(stage: Stage) -> None:
    first, second = _group(stage)
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
    first, second, third = stage.group(3)
    stage.join()
    for broker in (first, second):
        broker.once(Register, *[_too_many] * 20)
    first.once(Heartbeat, lambda asked: [first.alive(asked, known=False)])
    stage.moves(third, "`register` with the broker that has room")
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


def _group(stage: Stage, number: int = 2) -> list[ScriptedBroker]:
    """The client has heard of so many brokers, and the lease of its own one is so long that no
    silence is noticed."""
    brokers = stage.group(number)
    stage.joined_for_long()
    return brokers

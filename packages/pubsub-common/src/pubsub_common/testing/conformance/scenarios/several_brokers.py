"""Clients that know several brokers, and what those that know one must know of a group."""

from __future__ import annotations

from pubsub_common.protocol.messages import (
    Alive,
    Farewell,
    Heartbeat,
    Hello,
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

# A heartbeat each 4 s: a client that leaves for a lease of silence is late by far.
_SILENT_LEASE_S = 12.0
_SILENCE_S = 6.0


@for_both(
    "brokers-changed",
    page.SEVERAL,
    "`brokers_changed` is a normal push",
)
def brokers_changed(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    stage.broker.tell_brokers(stage.broker.address, "127.0.0.1:9", *NO_ADDRESSES)
    stage.broker.tell_brokers(stage.broker.address)
    stage.goes_on("heartbeats alone: each push had the next revision")
    stage.broker.revision += 1
    stage.broker.tell_brokers()
    stage.registers_again(
        "`register` after a push with another revision than the next one"
    )
    stage.goes_on("heartbeats alone after `registered`")


@for_both(
    "moves-at-farewell",
    page.SEVERAL,
    "it moves to another broker after a farewell",
    BROKERS,
)
def moves_at_farewell(stage: Stage) -> None:
    first, second = known_group(stage)
    first.send(Farewell())
    moves(stage, second, "`register` with the other broker after `farewell`")


@for_both(
    "moves-at-broken-connection",
    page.SEVERAL,
    "it moves to another broker when its connection breaks",
    BROKERS,
)
def moves_at_broken_connection(stage: Stage) -> None:
    first, second = known_group(stage)
    first.down()
    moves(stage, second, "`register` with the other broker, as the first one is gone")


@for_both(
    "moves-at-silence",
    page.SEVERAL,
    "it moves to another broker after 2 s without a reply to a heartbeat",
    BROKERS,
)
def moves_at_silence(stage: Stage) -> None:
    first, second = group(stage)
    first.lease_s = _SILENT_LEASE_S
    stage.join()
    first.silent = True
    moves(
        stage,
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
    "it moves to another broker without a reply to `register`",
    BROKERS,
)
def moves_when_unanswered(stage: Stage) -> None:
    first, second = group(stage)
    stage.join()

    def forgets(asked: Heartbeat) -> list[Alive]:
        first.silent = True
        return [first.alive(asked, known=False)]

    first.once(Heartbeat, forgets)
    moves(stage, second, "`register` with the other broker after one without an answer")


@for_both(
    "moves-when-cut-off",
    page.SEVERAL,
    "it moves from a broker that is cut off to one that is not",
    BROKERS,
)
def moves_when_cut_off(stage: Stage) -> None:
    first, second = group(stage)
    stage.join()
    first.cut_off = True
    moves(
        stage, second, "`register` with the other broker after `alive` with `cut_off`"
    )


@for_both(
    "stays-when-all-cut-off",
    page.SEVERAL,
    "it stays with a broker that is cut off if no other is better",
    BROKERS,
)
def stays_when_all_cut_off(stage: Stage) -> None:
    first, second = group(stage)
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
    moves(
        stage, second, "`register` with the other broker, which is not cut off any more"
    )


@for_both(
    "stays-otherwise",
    page.SEVERAL,
    "it registers again with its own broker when that does not know it",
    BROKERS,
)
def stays_otherwise(stage: Stage) -> None:
    first, second = group(stage)
    stage.join()
    first.once(Heartbeat, lambda asked: [first.alive(asked, known=False)])
    stage.registers_again("`register` after `alive` with `known` false")
    first.revision += 1
    first.tell_brokers(first.address, second.address)
    stage.registers_again(
        "`register` after a push with another revision than the next one"
    )
    stage.goes_on("heartbeats alone after `registered`")
    if second.requests:
        raise Failed(
            "nothing at the other broker, as its own one is there",
            type(second.requests[0][1]).__name__.lower(),
            page.SEVERAL,
        )

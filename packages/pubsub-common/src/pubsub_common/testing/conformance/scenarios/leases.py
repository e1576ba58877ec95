"""Heartbeats, and what makes a client register again."""

from __future__ import annotations

import itertools
import statistics

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Error, Farewell, Heartbeat, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_both
from pubsub_common.testing.conformance.scripted_broker import FIRST_SESSION
from pubsub_common.testing.conformance.stage import LONG_LEASE_S, Stage


@for_both("heartbeats", page.SESSIONS, "it sends a heartbeat three times a lease")
def heartbeats(stage: Stage) -> None:
    stage.broker.lease_s = 1.5
    stage.join()
    stage.heartbeats(9)
    times = stage.broker.times_of(Heartbeat)
    # Every 0.5 s; a machine that is busy may take its time, and some may be late by more.
    usual_s = statistics.median(b - a for a, b in itertools.pairwise(times))
    if not 0.2 <= usual_s <= 1.0:
        raise Failed(
            "a heartbeat every 0.5 s", f"one every {usual_s:.2f} s", page.SESSIONS
        )


@for_both(
    "other-lease", page.REGISTERED, "it uses the lease in the latest `registered`"
)
def other_lease(stage: Stage) -> None:
    stage.broker.lease_s = LONG_LEASE_S
    stage.join()
    stage.broker.lease_s = stage.lease_s
    stage.broker.send(Farewell())
    stage.registers_again("`register` after `farewell`")
    stage.heartbeats(3)


@for_both(
    "known-false", page.STATES, "it registers again when the broker does not know it"
)
def known_false(stage: Stage) -> None:
    stage.join()
    stage.broker.once(Heartbeat, lambda asked: [stage.broker.alive(asked, known=False)])
    _again(stage, "`register` after `alive` with `known` false")


@for_both(
    "other-epoch", page.STATES, "it registers again when `alive` has another epoch"
)
def other_epoch(stage: Stage) -> None:
    stage.join()
    stage.broker.epoch += 1
    _again(stage, "`register` after `alive` with another `epoch`")


@for_both(
    "higher-revision",
    page.STATES,
    "it registers again when `alive` names a push that it has missed",
)
def higher_revision(stage: Stage) -> None:
    stage.join()
    stage.broker.revision += 1
    _again(stage, "`register` after `alive` with a higher `revision`")


@for_both("farewell", page.STATES, "it registers again after a farewell")
def farewell(stage: Stage) -> None:
    stage.broker.lease_s = LONG_LEASE_S
    stage.join()
    stage.broker.send(Farewell())
    stage.broker.lease_s = stage.lease_s
    _again(stage, "`register` after `farewell`")


@for_both(
    "silence", page.STATES, "it registers again when a lease has passed in silence"
)
def silence(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    stage.broker.silent = True
    stage.registers_again(
        f"`register` after a lease ({stage.lease_s:g} s) without a word",
        within_s=stage.patience_s + stage.lease_s,
    )
    stage.broker.silent = False
    stage.until(
        lambda: len(stage.broker.of(Register)) > 2 or None,
        "`register` again, as the one in the silence was not answered",
    )
    stage.goes_on("heartbeats alone after `registered`")


@for_both(
    "heartbeat-at-reconnection",
    page.STATES,
    "it sends a heartbeat immediately when its connection is back",
)
def heartbeat_at_reconnection(stage: Stage) -> None:
    stage.broker.lease_s = LONG_LEASE_S
    stage.join()
    # A client that asks what its connection is worth may do so at the beginning too.
    stage.watch(0.5)
    before = len(stage.broker.requests)
    stage.broker.reconnect()
    stage.until(
        lambda: any(
            isinstance(each, Heartbeat | Register)
            for _, each in stage.broker.requests[before:]
        ),
        "a heartbeat when the connection is there again, long before the next one is "
        "due",
    )


@for_both(
    "restart",
    page.STATES,
    "it keeps its session when a broker without clients takes over the port",
)
def restart(stage: Stage) -> None:
    stage.broker.lease_s = LONG_LEASE_S
    first = stage.join()
    stage.watch(0.5)
    stage.broker.known = False
    stage.broker.lease_s = stage.lease_s
    stage.broker.restart()
    again = _again(stage, "`register` with a broker of another epoch")
    if again.topics != first.topics:
        raise Failed(f"topics {first.topics}", f"{again.topics}", page.SESSIONS)


@for_both(
    "heartbeat-refused",
    page.ERROR,
    "it registers again when the reply to a heartbeat is an error",
)
def heartbeat_refused(stage: Stage) -> None:
    stage.join()
    stage.broker.once(
        Heartbeat,
        lambda asked: [Error(id=asked.id, code=messages.MALFORMED, detail="no")],
    )
    _again(stage, "`register` after the error that answers a heartbeat")


@for_both(
    "heartbeat-refused-twice",
    page.ERROR,
    "it ends when the reply to the next heartbeat is an error too",
)
def heartbeat_refused_twice(stage: Stage) -> None:
    stage.join()

    def refused(asked: Heartbeat) -> list[Error]:
        return [Error(id=asked.id, code=messages.MALFORMED, detail="no")]

    stage.broker.once(Heartbeat, refused, refused)
    stage.heartbeats(1)
    stage.may_end = True
    stage.heartbeats(1)
    before = len(stage.broker.requests)
    stage.watch(3.0)
    # It may take its leave.
    for _, request in stage.broker.requests[before:]:
        if isinstance(request, Heartbeat | Register):
            name = type(request).__name__.lower()
            raise Failed(
                "its end after the second error in turn", f"`{name}`", page.ERROR
            )


@for_both(
    "heartbeat-too-fast",
    page.ERROR,
    "it continues after a heartbeat with the reply `too_fast`",
)
def heartbeat_too_fast(stage: Stage) -> None:
    stage.join()

    def later(asked: Heartbeat) -> list[Error]:
        return [Error(id=asked.id, code=messages.TOO_FAST, detail="later")]

    stage.broker.once(Heartbeat, later)
    stage.heartbeats(1)
    at_s = stage.broker.times_of(Heartbeat)[0]
    # To register again helps nothing, but does no harm after a second.
    stage.heartbeats(3)
    again_s = [each - at_s for each in stage.broker.times_of(Register) if each > at_s]
    if again_s and again_s[0] < 0.5:
        raise Failed(
            "the next heartbeat in its time, as the broker asks for patience",
            f"`register` after {again_s[0]:.2f} s",
            page.ERROR,
        )


@for_both(
    "unknown-session", page.ERROR, "it handles `unknown_session` like `known` false"
)
def unknown_session(stage: Stage) -> None:
    stage.join()
    stage.broker.once(
        Heartbeat,
        lambda asked: [Error(id=asked.id, code=messages.UNKNOWN_SESSION, detail="no")],
    )
    _again(stage, "`register` after `unknown_session`")


@for_both(
    "expelled",
    page.ERROR,
    "it does not reconnect after `revoked`, which is not a reply",
)
def expelled(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    stage.may_end = True
    stage.broker.send(Error(id=-1, code=messages.REVOKED, detail="its key was revoked"))
    stage.broker.known = False
    stage.watch(3.5)
    if len(stage.broker.of(Register)) > 1:
        raise Failed("no further `register`", "another one", page.ERROR)


@for_both("disconnect", page.DISCONNECT, "it disconnects and ends at SIGTERM")
def disconnect(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    stage.leaves()
    if stage.client.exit_code != 0:
        raise Failed("exit code 0 after SIGTERM", stage.client.ended, page.DISCONNECT)


def _again(stage: Stage, expected: str) -> Register:
    """It registers again under its session, and continues."""
    again = stage.registers_again(expected)
    if again.session != FIRST_SESSION:
        raise Failed(
            f"`register` under its session {FIRST_SESSION}",
            str(again.session),
            page.SESSIONS,
        )
    stage.goes_on("heartbeats alone after `registered`")
    return again

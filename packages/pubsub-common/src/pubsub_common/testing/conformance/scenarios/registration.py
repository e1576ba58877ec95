"""How a client registers."""

from __future__ import annotations

from typing import Final

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Error, Heartbeat, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_both
from pubsub_common.testing.conformance.scripted_broker import nothing
from pubsub_common.testing.conformance.stage import Stage

_OTHER_SESSION: Final = 4711


@for_both(
    "registers", page.REGISTER, "it registers with its options, and stays registered"
)
def registers(stage: Stage) -> None:
    first = stage.join("A", "température")
    if first.session is not None:
        raise Failed("session null at first", str(first.session), page.SESSIONS)
    stage.goes_on("heartbeats alone after `registered`")


@for_both("no-broker-yet", page.TIMES, "it waits for a broker, and sends one request")
def no_broker_yet(stage: Stage) -> None:
    stage.broker.down()
    stage.start("A")
    stage.watch(4.0)
    stage.broker.up()
    stage.registration()
    stage.goes_on("heartbeats alone after `registered`")
    if len(stage.broker.of(Register)) > 1:
        raise Failed(
            "one `register`: none waits in a socket without a connection",
            f"{len(stage.broker.of(Register))} at once",
            page.SESSIONS,
        )


@for_both(
    "register-unanswered", page.SESSIONS, "it retries after 2 s without an answer"
)
def register_unanswered(stage: Stage) -> None:
    stage.broker.once(Register, nothing)
    stage.join()
    stage.registration(2)
    first, second = stage.broker.times_of(Register)[:2]
    if second - first < 1:
        raise Failed(
            "2 s until the next attempt", f"{second - first:.2f} s", page.SESSIONS
        )
    ids = [each.id for each in stage.broker.of(Register)[:2]]
    if ids[0] == ids[1]:
        raise Failed("another `id` in each attempt", f"{ids[0]} again", page.SESSIONS)
    stage.goes_on("heartbeats alone after `registered`")


@for_both(
    "late-registered", page.SESSIONS, "it ignores the answer to an earlier attempt"
)
def late_registered(stage: Stage) -> None:
    stage.broker.once(Register, nothing, nothing)
    stage.join()
    second = stage.registration(2)
    first = stage.broker.of(Register)[0]
    # The broker has taken it for two clients.
    late = stage.broker.registered(first, session=_OTHER_SESSION)
    stage.broker.send(late)
    stage.broker.send(stage.broker.registered(second))
    stage.broker.send(late)
    for heartbeat in stage.heartbeats(2):
        if heartbeat.session != stage.broker.session:
            raise Failed(
                "the session of the answer to the last attempt",
                "that of the answer to an earlier one",
                page.SESSIONS,
            )


@for_both(
    "late-alive",
    page.STATES,
    "`alive` does not register it while it waits for `registered`",
)
def late_alive(stage: Stage) -> None:
    # So that a lease does not end in the 2 s until it asks again.
    stage.broker.lease_s = 4.0
    stage.join()
    asked = stage.heartbeats(1)[0]
    stage.broker.once(Heartbeat, lambda asked: [stage.broker.alive(asked, known=False)])
    # What answers an earlier heartbeat says nothing of this registration.
    stage.broker.once(Register, lambda _: [stage.broker.alive(asked)])
    stage.registers_again("`register` after `alive` with `known` false")
    stage.broker.lease_s = stage.lease_s
    before = len(stage.broker.of(Heartbeat))
    stage.registers_again("`register` again after 2 s, as it was not answered")
    if len(stage.broker.of(Heartbeat)) > before:
        raise Failed(
            "no heartbeat before `registered`", "one after `alive`", page.STATES
        )
    stage.goes_on("heartbeats alone after `registered`")


@for_both("too-fast", page.ERROR, "it retries after `too_fast`, a second later")
def too_fast(stage: Stage) -> None:
    stage.broker.once(
        Register,
        lambda asked: [Error(id=asked.id, code=messages.TOO_FAST, detail="later")],
    )
    stage.join()
    stage.registration(2)
    first, second = stage.broker.times_of(Register)[:2]
    if second - first < 0.5:
        raise Failed(
            "a second until it asks again", f"{second - first:.2f} s", page.ERROR
        )
    stage.goes_on("heartbeats alone after `registered`")

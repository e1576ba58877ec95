"""What a later version may say, and what nobody should: a client takes both."""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Error, Heartbeat, Register
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed
from pubsub_common.testing.conformance.scenario import for_both, for_subscribers
from pubsub_common.testing.conformance.stage import Stage
from pubsub_common.testing.conformance.subscriber_stage import SubscriberStage

_MORE: Final = {"colour": "red", "_": [1, {"a": None}], "__proto__": {"known": False}}


def _with_more(message: messages.Reply) -> bytes:
    """The message with unknown fields, in itself and in each object that is a part of it."""
    parts = ("publishers", "joined", "left", "vouched")

    def grown(raw: dict[str, Any]) -> dict[str, Any]:
        found = dict(raw)
        for name in parts:
            if name in raw:
                found[name] = [grown(each) for each in raw[name]]
        if isinstance(raw.get("demand"), dict):
            found["demand"] = grown(raw["demand"])
        return {**_MORE, **found, "zz": 1.5}

    return json.dumps(grown(json.loads(messages.encode(message)))).encode()


@for_both("unknown-fields", page.ENCODING, "it ignores fields that it does not know")
def unknown_fields(stage: Stage) -> None:
    stage.broker.once(
        Register, lambda asked: [_with_more(stage.broker.registered(asked))]
    )
    stage.broker.once(
        Heartbeat,
        *[lambda asked: [_with_more(stage.broker.alive(asked))] for _ in range(3)],
    )
    stage.broker.offer(stage.broker.session)
    stage.join()
    stage.goes_on("heartbeats alone after `registered` with unknown fields")


@for_subscribers(
    "unknown-fields-of-pushes",
    page.ENCODING,
    "it ignores unknown fields of pushes and of their parts",
)
def unknown_fields_of_pushes(stage: SubscriberStage) -> None:
    first, later = stage.publisher("A"), stage.publisher("A", listed=False)
    stage.join()
    stage.ready(first)
    stage.broker.push(joined=[later.info()], form=_with_more)
    stage.ready(later)
    stage.publish(later, "A", 3)
    stage.broker.push(
        left=[messages.Departure(session=first.session, next_sequences={"A": 0})],
        form=_with_more,
    )
    stage.publish(later, "A", 3)
    stage.delivers()
    stage.goes_on("heartbeats alone after pushes with unknown fields")


@for_both("unknown-pushes", page.ENCODING, "it ignores messages of an unknown type")
def unknown_pushes(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    for said in (
        b'{"type":"weather","revision":1,"rain":true}',
        b'{"type":"weather"}',
        b'{"type":"weather_reply","id":1,"epoch":7}',
    ):
        stage.broker.send(said)
    stage.goes_on("heartbeats alone: an unknown push counts for nothing")


@for_both("flood-of-messages", page.ENCODING, "it survives 5,000 irrelevant messages")
def flood_of_messages(stage: Stage) -> None:
    stage.broker.lease_s = 3.0
    stage.join()
    stage.heartbeats(1)
    for number in range(5000):
        stage.broker.send(b'{"type":"weather","revision":%d}' % number)
    stage.goes_on("heartbeats alone: unknown messages count for nothing")


@for_both(
    "malformed-messages", page.SESSIONS, "it ignores malformed messages, and continues"
)
def malformed_messages(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    for said in _MALFORMED:
        stage.broker.send(said)
    for parts in (
        [b"", b'{"type":"farewell","epoch":1}'],
        [b"a", b"b", b"c"],
        [b"", b""],
    ):
        stage.broker.send_parts(parts)
    stage.goes_on("heartbeats alone: none of this is a message")
    stage.leaves()


_DEEP: Final = b"[" * 100_000
_MALFORMED: Final = (
    *(b"", b"\0", b"x", b"null", b"[]", b"{}", b"7", b'"farewell"', b"\xff\xfe", _DEEP),
    *(b'{"type":7}', b'{"type":null}', b'{"type":"farewell"', b'{"type":"alive"}'),
    b'{"type":"alive","id":"1","epoch":1000,"known":true}',
    b'{"type":"alive","id":1,"epoch":1000,"known":"false"}',
    b'{"type":"alive","id":1,"epoch":1.5,"known":false}',
    b'{"type":"registered","id":1}',
    b'{"type":"registered","id":1,"version":1,"session":-1,"epoch":1,"lease_s":1,'
    b'"model":"decentralized"}',
    b'{"type":"publishers_changed","revision":"1"}',
    b'{"type":"publishers_changed","revision":1,"joined":{}}',
    b'{"type":"publishers_changed","revision":1,"left":[{"session":"7"}]}',
    b'{"type":"publishers_changed","revision":1,"joined":[{"session":9007199254740992,'
    b'"topics":["A"]}]}',
)


@for_both(
    "refused",
    page.ERROR,
    "an error that answers `register` is final",
)
def refused(stage: Stage) -> None:
    stage.may_end = True
    stage.broker.once(
        Register,
        lambda asked: [Error(id=asked.id, code="no_such_code", detail="\x1b[2Jno\n")],
    )
    stage.join()
    _asks_no_more(stage, page.ERROR)


@for_both(
    "refused-unread",
    page.ERROR,
    "an error with id -1 answers the pending `register`",
)
def refused_unread(stage: Stage) -> None:
    stage.may_end = True
    stage.broker.once(
        Register, lambda asked: [Error(id=-1, code=messages.MALFORMED, detail="no")]
    )
    stage.join()
    _asks_no_more(stage, page.ERROR)


@for_both(
    "strange-error",
    page.ERROR,
    "it ignores an error that answers no request",
)
def strange_error(stage: Stage) -> None:
    stage.join()
    stage.heartbeats(1)
    for code, number in (("no_such_code", -1), (messages.TOO_MANY, 2**53 - 1)):
        stage.broker.send(Error(id=number, code=code, detail="nothing"))
    stage.goes_on("heartbeats alone after an error that answers nothing")


@for_both(
    "strange-version", page.VERSIONS, "it refuses a version that it does not speak"
)
def strange_version(stage: Stage) -> None:
    stage.may_end = True
    stage.broker.once(
        Register, lambda asked: [stage.broker.registered(asked, version=2**31)]
    )
    stage.join()
    _asks_no_more(stage, page.VERSIONS)
    if stage.broker.of(Heartbeat):
        raise Failed(
            "no heartbeat after a `registered` of another version", "one", page.VERSIONS
        )


@for_both(
    "session-in-use", page.ERROR, "it retries after `session_in_use`, each second"
)
def session_in_use(stage: Stage) -> None:
    stage.broker.once(
        Register,
        *[
            lambda asked: [
                Error(id=asked.id, code=messages.SESSION_IN_USE, detail="another's")
            ]
        ]
        * 2,
    )
    stage.join()
    stage.registration(3)
    times = stage.broker.times_of(Register)[:3]
    for before, after in itertools.pairwise(times):
        if after - before < 0.5:
            raise Failed(
                "a second until it asks again", f"{after - before:.2f} s", page.ERROR
            )
    stage.goes_on("heartbeats alone after `registered`")


def _asks_no_more(stage: Stage, section: str) -> None:
    stage.watch(4.0)
    if len(stage.broker.of(Register)) > 1:
        raise Failed(
            "no further `register`",
            f"{len(stage.broker.of(Register))} of them",
            section,
        )

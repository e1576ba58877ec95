"""The control messages in the debug log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.attack_tools import Talker, register
from support.running_roles import MODELS, RunningBroker, Security

from pubsub_broker.control.refusals import decode_request
from pubsub_broker.transport import control_trace
from pubsub_broker.transport.control_trace import ControlTrace
from pubsub_common.defaults import LOG_ADDRESS_BYTES
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Model
from pubsub_common.security.keys import load_client_keys
from pubsub_common.testing import wait_for

LOGGER = control_trace.__name__
PEER = ("10.0.0.1", 40_000)


@pytest.fixture
def debugging(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, LOGGER):
        yield caplog


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines in the log; each has the object that log handlers may use."""
    records = [record for record in caplog.records if record.name == LOGGER]
    shown = [json.loads(record.getMessage()) for record in records]
    assert shown == [record.__dict__["fields"] for record in records]
    return shown


def came(caplog: pytest.LogCaptureFixture, message: object) -> dict[str, Any]:
    ControlTrace().came(PEER, json.dumps(message).encode())
    return lines(caplog)[-1]


def test_nothing_is_wanted_without_debugging(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        assert not ControlTrace().wanted
    with caplog.at_level(logging.DEBUG, LOGGER):
        assert ControlTrace().wanted


def test_a_message_is_shown_as_it_came_with_what_is_unknown_in_it(
    debugging: pytest.LogCaptureFixture,
) -> None:
    message = {"type": "status", "id": 4, "colour": "é\u2028\x1b", "deep": {"a": [1]}}

    assert came(debugging, message) == {"peer": "10.0.0.1:40000", "in": message}
    assert debugging.records[-1].getMessage().isascii()


def test_what_cannot_be_decoded_is_shown_with_the_reason(
    debugging: pytest.LogCaptureFixture,
) -> None:
    ControlTrace().came(PEER, b"\xff\x00\x1b[2J" + b"x" * 1000)
    ControlTrace().came(None, b'{"type":"greeting","id":1}')

    garbage, strange = lines(debugging)
    assert garbage["undecodable"] == "\\xff\0\x1b[2J" + "x" * 58
    assert garbage["bytes"] == 1006
    assert "malformed" in garbage["reason"]
    assert strange["peer"] is None
    assert "greeting" in strange["reason"]


def test_a_peer_of_ipv6_is_shown_in_brackets(
    debugging: pytest.LogCaptureFixture,
) -> None:
    ControlTrace().came(("[2001:db8::1]", 40_000), b"{}")

    assert lines(debugging)[0]["peer"] == "[2001:db8::1]:40000"


def test_keys_are_left_out_wherever_they_are(
    debugging: pytest.LogCaptureFixture,
) -> None:
    trace = ControlTrace()
    info = messages.PublisherInfo(session=1, topics=["A"], key="SECRET")
    vouched = [messages.Vouched(key="SECRET")]
    demand = messages.Demand(subscriptions=1, forwarders=["SECRET"])
    for reply in (
        messages.PublishersChanged(revision=1, joined=[info]),
        messages.VouchedChanged(revision=1, vouched=vouched),
        messages.Alive(id=1, epoch=1, known=True, demand=demand),
    ):
        trace.went(PEER, messages.encode(reply))
    came(debugging, {"type": "status", "id": 1, "key": "SECRET"})

    assert len(lines(debugging)) == 4
    assert "SECRET" not in debugging.text
    assert debugging.text.count("(left out)") == 4


def test_long_lists_and_texts_are_cut(debugging: pytest.LogCaptureFixture) -> None:
    topics = [f"{number}/{'x' * 250}" for number in range(4096)]
    request = register(
        "publisher", topics, "10.0.0.1:1", strengths=dict.fromkeys(topics, 1)
    )
    ControlTrace().came(PEER, messages.encode(request))

    [line] = lines(debugging)
    assert line["in"]["topics"][0].startswith("0/xxx")
    assert line["in"]["topics"][-1] == "(and 4086 more)"
    assert line["in"]["strengths"]["(more)"] == 4076
    assert len(debugging.records[0].getMessage()) < 10_000


@pytest.mark.parametrize(
    "unknown", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "9" * 5000]
)
def test_whatever_an_unknown_field_holds_can_be_shown(
    debugging: pytest.LogCaptureFixture, unknown: str
) -> None:
    ControlTrace().came(PEER, b'{"type":"status","id":4,"x":%b}' % unknown.encode())

    [line] = lines(debugging)
    assert line["in"]["id"] == 4
    assert len(json.dumps(line)) < 500


def test_lines_are_bounded_and_what_is_left_out_is_counted(
    debugging: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(control_trace, "monotonic", lambda: now)
    trace = ControlTrace()
    for _ in range(2000):
        trace.came(PEER, b'{"type":"status","id":4}')
    shown = len(debugging.messages)
    assert sum(map(len, debugging.messages)) <= LOG_ADDRESS_BYTES

    now += 60.0
    trace.came(PEER, b'{"type":"status","id":4}')

    left_out, line = debugging.messages[shown:]
    assert left_out == (
        f"{2000 - shown} more control messages in 10 s are left out, all about 10.0.0.1"
    )
    assert json.loads(line)["in"]["id"] == 4


def test_a_flood_of_long_messages_is_not_looked_into(
    debugging: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients wait meanwhile."""
    monkeypatch.setattr(control_trace, "monotonic", lambda: 1000.0)
    read: list[bytes] = []

    def decode_and_note(data: bytes) -> messages.Request:
        read.append(data)
        return decode_request(data)

    monkeypatch.setattr(control_trace, "decode_request", decode_and_note)
    trace = ControlTrace()
    request = b'{"type":"status","id":4,"x":[%b0]}' % (b"[]," * 700_000)
    for _ in range(100):
        trace.came(PEER, request)
    trace.came(("10.0.0.2", 1), b'{"type":"status","id":5}')

    assert len(read) <= 6
    assert all("x" not in line["in"] for line in lines(debugging))
    ids = [line["in"]["id"] for line in lines(debugging)]
    assert ids == [4] * (len(ids) - 1) + [5]
    assert len(ids) > 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "secure"])
@pytest.mark.parametrize("model", MODELS)
def test_a_broker_shows_what_comes_and_goes(
    debugging: pytest.LogCaptureFixture, tmp_path: Path, model: Model, *, secure: bool
) -> None:
    security = Security(tmp_path / "secure") if secure else None
    broker = RunningBroker(
        model, secure=None if security is None else str(security.folder)
    )
    with zmq.Context() as context:
        talkers, pairs = [], []
        for role in ("publisher", "subscriber"):
            keys = None
            if security is not None:
                keys = load_client_keys(getattr(security, role))
                pairs.append(keys.pair)
            talker = Talker(
                context,
                zmq.DEALER,
                None if keys is None else keys.pair,
                None if keys is None else keys.broker,
            )
            talker.connect(broker.port)
            address = "127.0.0.1:1" if role == "publisher" else "127.0.0.1"
            talker.registered(register(role, ["A"], address))
            talkers.append(talker)
        for talker in talkers:
            talker.close()
    wait_for(lambda: len(lines(debugging)) >= 4, "the lines")
    broker.stop()

    shown = [
        next((way, line[way]["type"]) for way in ("in", "out") if way in line)
        for line in lines(debugging)
    ]
    expected = [("in", "register"), ("out", "registered")] * 2
    assert shown[:4] == expected
    first, second = lines(debugging)[0]["peer"], lines(debugging)[2]["peer"]
    assert first.startswith("127.0.0.1:")
    assert first != second
    for pair in pairs:
        assert pair.public not in debugging.text

"""A client's session behaves as the traces of the protocol say."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from support.protocol_traces import run, traces

from pubsub_common.client.identity import HeartbeatInputs, Identity
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import Rejected, SessionUpdate
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages


class ClientRunner:
    """``given`` is what the client registers as."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._connected, self._ended = True, False
        self._lost: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self._changes = 0
        self._identity = given
        publishes = given["role"] == "publisher"
        self._session = ClientSession(
            identity_of(given),
            0.0,
            HeartbeatInputs(
                lost=lambda: self._lost,
                published=(lambda: self._published) if publishes else None,
            ),
        )

    def next_deadline(self) -> float | None:
        return self._session.next_deadline()

    def take(self, given: dict[str, Any], now: float) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for kind, value in given.items():
            if kind == "leave":
                out += sent(self._session.leave(value))
            else:
                out += written(self._input(kind, value, now))
            self._ended |= bool(out)
        request, updates = self._session.tick(now)
        out += written(updates)
        if self._connected:
            out += sent(request)
        elif request is not None:
            self._session.send_failed(now)
        return out

    def _input(self, kind: str, value: Any, now: float) -> list[SessionUpdate]:
        match kind:
            case "connection":
                self._connected = value
                if value:
                    self._session.connected(now)
                    self._session.reconnected(now)
            case "moved":
                self._session.left(now)
            case "lost":
                self._lost = value
            case "published":
                self._published = value
            case "change":
                self._identity = {**self._identity, **value}
                self._changes += 1
                identity = identity_of(self._identity)
                self._session.change(identity, now, self._changes)
            case _:
                assert kind == "message", kind
                with contextlib.suppress(ProtocolError):  # it is ignored
                    reply = messages.decode_reply(msgspec.json.encode(value))
                    return self._session.receive(reply, now)
        return []

    def counted(self) -> dict[str, Any]:
        return {
            "registered": self._session.registered and not self._ended,
            "session": self._session.session,
            "epoch": self._session.epoch,
        }


def identity_of(given: dict[str, Any]) -> Identity:
    return Identity(**{**given, "topics": tuple(given["topics"]), "clock": "realtime"})


def sent(request: messages.Request | None) -> list[dict[str, Any]]:
    if request is None:
        return []
    return [{"send": msgspec.json.decode(messages.encode(request))}]


def written(updates: list[SessionUpdate]) -> list[dict[str, Any]]:
    """What the traces have of these."""
    return [{"ended": each.code} for each in updates if isinstance(each, Rejected)]


@pytest.mark.parametrize("trace", traces("client"), ids=lambda each: each["name"])
def test_a_client_behaves_as_the_trace_says(trace: dict[str, Any]) -> None:
    assert run(trace, ClientRunner(trace["given"])) == trace

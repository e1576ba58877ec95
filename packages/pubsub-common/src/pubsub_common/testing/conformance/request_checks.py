"""Strict checks of the messages of a client to the broker.

A broker ignores fields that it does not know, so that the protocol can grow; here they are
failures, since a client that is tried speaks the version of the page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pubsub_common.defaults import CLOCKS, MAX_CONTROL_BYTES, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ConfigError, ProtocolError
from pubsub_common.protocol import messages, topics, wildcards
from pubsub_common.protocol.endpoints import parse_address, parse_host
from pubsub_common.protocol.messages import Heartbeat, Register, Request
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.findings import Failed

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_request(frames: Sequence[bytes]) -> Request:
    """The request in a message.

    Raises:
        Failed: it is not one, or has more than the protocol page says.
    """
    if len(frames) != 1:
        raise Failed(
            "control messages of one frame, without an empty one before it",
            f"one of {len(frames)} frames",
            page.ENCODING,
        )
    data = frames[0]
    if len(data) > MAX_CONTROL_BYTES:
        raise Failed(
            f"control messages of at most {MAX_CONTROL_BYTES} bytes",
            f"one of {len(data)}",
            page.ENCODING,
        )
    if data.startswith(_BYTE_ORDER_MARK):
        raise Failed("UTF-8 without a byte order mark", "one with it", page.ENCODING)
    try:
        request = messages.decode_request(data)
    except ProtocolError as error:
        seen = f"{error}: {data[:200].decode(errors='backslashreplace')}"
        raise Failed("a control message", seen, page.ENCODING) from None
    raw = json.loads(data, object_pairs_hook=_object)
    extra = unknown_fields(raw, request)
    if extra:
        raise Failed(
            f"in `{raw['type']}` the fields of the page alone",
            f"also {', '.join(sorted(extra))}",
            raw["type"],
        )
    return request


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Failed("each field once", f"{twice!r} twice", page.ENCODING)
    return found


def unknown_fields(raw: dict[str, Any], message: msgspec.Struct) -> list[str]:
    """The fields of ``raw`` that this message and its parts do not have."""
    known = {field.encode_name for field in msgspec.structs.fields(message)}
    known.add("type")
    found = [name for name in raw if name not in known]
    for name in known & raw.keys():
        part = getattr(message, name, None)
        if isinstance(part, msgspec.Struct) and isinstance(raw[name], dict):
            found += [f"{name}.{more}" for more in unknown_fields(raw[name], part)]
    return found


class ClientChecks:
    """Checks of all requests of one client, which is to be a ``role`` with these ``topics``."""

    def __init__(self, role: messages.Role, topics: Sequence[str]) -> None:
        self._role = role
        self._topics = set(topics)
        self._first: Register | None = None
        # The session that it has shown to have taken; None before that.
        self._session: int | None = None
        self._offered: set[int] = set()

    @property
    def topics(self) -> set[str]:
        return self._topics

    def offer(self, session: int) -> None:
        """The client was given this session."""
        self._offered.add(session)

    def check(self, request: Request) -> None:
        """Raises:
        Failed: this client must not say that, or not now.
        """
        match request:
            case Register():
                self._check_register(request)
            case Heartbeat():
                self._check_session(request.session)
                self._check_heartbeat(request)
            case messages.Disconnect():
                self._check_session(request.session)
                self._check_topics("next_sequences", request.next_sequences)

    def _check_session(self, session: int) -> None:
        if self._session is None and session in self._offered:
            self._session = session
        if session != self._session:
            given = ", ".join(map(str, sorted(self._offered))) or "none"
            expected = f"the session that it was given ({given})"
            raise Failed(expected, f"session {session}", page.SESSIONS)

    def _check_register(self, request: Register) -> None:
        if request.session is not None:
            self._check_session(request.session)
        elif self._session is not None:
            raise Failed(
                f"session {self._session} in a later `register`",
                "session null",
                page.SESSIONS,
            )
        lowest, highest = request.versions
        if not lowest <= VERSIONS[0] <= highest:
            raise Failed(
                f"`versions` with {VERSIONS[0]} in it",
                f"{list(request.versions)}",
                page.REGISTER,
            )
        if request.clock not in CLOCKS:
            raise Failed(
                f"`clock` {' or '.join(CLOCKS)}", repr(request.clock), page.REGISTER
            )
        self._check_identity(request)

    def _check_identity(self, request: Register) -> None:
        if request.role != self._role:
            raise Failed(f"role {self._role!r}", repr(request.role), page.REGISTER)
        if set(request.topics) != self._topics:
            more = sorted(set(request.topics) - self._topics)[:3]
            less = sorted(self._topics - set(request.topics))[:3]
            raise Failed(
                "the topics of its command line",
                f"missing {less}, not asked for {more}",
                page.REGISTER,
            )
        if len(request.topics) > MAX_TOPICS_PER_CLIENT:
            raise Failed(
                f"at most {MAX_TOPICS_PER_CLIENT} topics",
                str(len(request.topics)),
                page.REGISTER,
            )
        try:
            if self._role == "publisher":
                parse_address(request.address)
            else:
                parse_host(request.address)
            for topic in request.topics:
                topics.validate_topic(topic)
        except ConfigError as error:
            raise Failed("a valid address and topics", str(error), page.TYPES) from None
        if self._role == "subscriber" and request.strengths:
            raise Failed(
                "no `strengths` of a subscriber", f"{request.strengths}", page.REGISTER
            )
        self._check_topics("strengths", request.strengths)
        first = self._first = self._first or request
        if (request.address, request.clock) != (first.address, first.clock):
            raise Failed(
                f"the same address and clock again ({first.address}, {first.clock})",
                f"{request.address}, {request.clock}",
                page.SESSIONS,
            )

    def _check_heartbeat(self, request: Heartbeat) -> None:
        mine, others = (
            ("published", "lost")
            if self._role == "publisher"
            else (
                "lost",
                "published",
            )
        )
        if getattr(request, others):
            raise Failed(
                f"no `{others}` of a {self._role}",
                f"{getattr(request, others)}",
                page.HEARTBEAT,
            )
        self._check_topics(mine, getattr(request, mine) or {})
        latency = request.latency
        if latency is not None and not (
            latency.count and latency.p50_ns <= latency.p99_ns <= latency.max_ns
        ):
            raise Failed(
                "`latency` with a count and p50 <= p99 <= max",
                f"{latency}",
                page.LATENCY,
            )

    def _check_topics(self, field: str, numbers: dict[str, int]) -> None:
        for topic in numbers:
            if not any(
                topic == own or wildcards.matches(own, topic) for own in self._topics
            ):
                raise Failed(
                    f"in `{field}` its own topics", repr(topic), page.HEARTBEAT
                )

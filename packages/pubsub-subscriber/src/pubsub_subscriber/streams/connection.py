"""Checks that a frame comes from the publisher that it names, by its connection."""

from __future__ import annotations

from typing import Final, Protocol

from pubsub_common.errors import ProtocolError
from pubsub_subscriber.streams.stream_table import StreamTable, location_of

# Sessions that a publisher may have on one connection, without the one that the broker named: each
# is stored, and nothing else limits them.
_MAX_SESSIONS: Final = 8


class Connection(Protocol):
    """The origin of frames. ``only_session`` is the session of its only publisher; None: any
    publisher. ``other_sessions`` are other sessions of that publisher. ``repeats``: events of
    a publisher may come twice, by shared memory and by TCP."""

    @property
    def only_session(self) -> int | None: ...

    other_sessions: set[int]

    def repeats(self, session: int) -> bool: ...


def check_sender(session: int, connection: Connection, streams: StreamTable) -> None:
    """Check that a frame from a connection to one publisher may have this session: the
    publisher's own, or one that no other publisher is known to have. A publisher may have
    another session than the broker named, if the broker had heard nothing from it for a
    while; its events arrive before the broker's notification, and must not be lost.

    Raises:
        ProtocolError: The session is another publisher's, or one too many.
    """
    only = connection.only_session
    if only is None or session == only or session in connection.other_sessions:
        return
    known, expected = streams.publisher(session), streams.publisher(only)
    if known is None:
        if len(connection.other_sessions) >= _MAX_SESSIONS:
            raise ProtocolError("a publisher sent messages under too many sessions")
    elif expected is None or location_of(known) != location_of(expected):
        raise ProtocolError(
            "a publisher sent a message under another publisher's session"
        )
    connection.other_sessions.add(session)

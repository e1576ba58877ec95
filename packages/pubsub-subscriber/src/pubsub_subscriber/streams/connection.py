"""Decides whether a frame may be of the publisher that it names, by where it came from."""

from __future__ import annotations

from typing import Final, Protocol

from pubsub_common.errors import ProtocolError
from pubsub_subscriber.streams.stream_table import StreamTable, location_of

# Sessions that a publisher may have by one connection, besides the one we were told of: each
# is remembered, and nobody else bounds them.
_MAX_SESSIONS: Final = 8


class Connection(Protocol):
    """Where frames come from. ``only_session`` is that of the one publisher there, None:
    there may be any; ``other_sessions`` are other ones of it."""

    @property
    def only_session(self) -> int | None: ...

    other_sessions: set[int]


def check_sender(session: int, connection: Connection, streams: StreamTable) -> None:
    """Whether what came by a connection to one publisher may be of this session: its own,
    or one that nobody else is known to have. It may have another one than we were
    told, when the broker had nothing from it for a while; its events arrive sooner than
    the broker's word, and it counts on us.

    Raises:
        ProtocolError: it is another publisher's, or one too many.
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

"""Limits the bytes that wait for a slow subscriber."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pubsub_common.logs.throttle import LogThrottle
from pubsub_common.security.connections import close_connection
from pubsub_common.security.unread_queues import LOOK_EVERY_S, UnreadLook, unread_line

if TYPE_CHECKING:
    from pubsub_publisher.sending.event_socket import EventSocket

_log = logging.getLogger(__name__)

_LINES: Final = "unread"


class SlowSubscribers:
    """For the control thread."""

    def __init__(self, events: EventSocket) -> None:
        self._events = events
        self._look = UnreadLook(events.bounds)
        self._throttle = LogThrottle()

    def look(self, now: float) -> float | None:
        """If too many bytes wait for a subscriber, close its connection, or make senders
        wait. Returns the seconds after which to check again even if nothing is sent."""
        events, sent = self._events, self._events.large_bytes
        due_s = self._look.due_s(sent, now, again=events.bytes_full)
        if due_s != 0:
            return due_s
        unread = self._look.look(events.port, sent, events.largest, now)
        if events.blocking:
            events.bytes_full = bool(unread)
            return LOOK_EVERY_S if unread else None
        for each in unread:
            if close_connection(each.connection) and self._throttle.allows(_LINES, now):
                _log.warning("%s", unread_line("subscriber", each))
        return None

"""Sends a publisher's replies to its subscribers, each on the connection of its request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq

from pubsub_common.security.connections import Connection, close_connection, sent_by
from pubsub_publisher.core import Effect, PublisherCore, Send

_NOBLOCK: Final = int(zmq.NOBLOCK)


class Answers:
    """The caller holds the lock of the data socket. It is the control thread or, after the
    end of that thread, the thread that closes the socket."""

    def __init__(
        self, core: PublisherCore, send: Callable[[bytes, int], object]
    ) -> None:
        """``send`` is the socket's own."""
        self._core = core
        self._send = send

    def send(self, effects: list[Effect], now: float) -> None:
        """Send the core's messages while there is room. Effects for other classes are added
        to ``effects``."""
        core = self._core
        if core.session >= 0:
            self._see_progress(now)
        unsent: list[Send] = []
        for effect in core.tick(now):
            if not isinstance(effect, Send):
                if isinstance(effect.origin, Connection):
                    close_connection(effect.origin)
                effects.append(effect)
                continue
            try:
                self._send(effect.frame, _NOBLOCK)
            except zmq.Again:  # only on the connection of this reply
                unsent.append(effect)
        core.no_room(unsent, now)

    def _see_progress(self, now: float) -> None:
        """Tell the core how much of the sent replies each connection with open requests has
        read."""
        questions = self._core.questions
        for origin in questions.next_origins(now):
            sent = sent_by(origin) if isinstance(origin, Connection) else None
            if sent is None:
                questions.forget(origin)
            else:
                questions.progress(origin, sent.acknowledged, now, whole=sent.whole)

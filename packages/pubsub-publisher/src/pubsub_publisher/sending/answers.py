"""Answers to what subscribers ask a publisher: which of them leave now, and by which connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq

from pubsub_common.security.connections import Connection, close_connection, sent_by
from pubsub_publisher.core import Effect, PublisherCore, Send

_NOBLOCK: Final = int(zmq.NOBLOCK)


class Answers:
    """For who holds the lock of the data socket, in the control thread, and after its end in
    the one that closes."""

    def __init__(
        self, core: PublisherCore, send: Callable[[bytes, int], object]
    ) -> None:
        """``send`` is that of the socket."""
        self._core = core
        self._send = send

    def send(self, effects: list[Effect], now: float) -> None:
        """Send what the core has to send, as far as there is room. Effects for others are added
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
            except zmq.Again:  # of whom it is for, and of nobody else
                unsent.append(effect)
        core.no_room(unsent, now)

    def _see_progress(self, now: float) -> None:
        """Tell the core how far those whose turn it is have read what they were sent."""
        questions = self._core.questions
        for origin in questions.next_origins(now):
            sent = sent_by(origin) if isinstance(origin, Connection) else None
            if sent is None:
                questions.forget(origin)
            else:
                questions.progress(origin, sent.acknowledged, now, whole=sent.whole)

"""Answers the requests that subscribers send as subscriptions.

What comes in on an XPUB socket are subscriptions. Those to events libzmq serves itself;
the private topics among them are questions: whether a subscriber is connected (the ready
handshake, `pubsub_common.protocol.events`), for events that it missed, and for how far we are
(`pubsub_common.protocol.recovery_messages`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import zmq

from pubsub_common.protocol.events import (
    ReadyRequest,
    encode_ready_reply,
    parse_ready_request,
)
from pubsub_common.protocol.recovery_messages import (
    POSITION_INTERVAL_S,
    RecoveryRequest,
    encode_position,
    encode_recovery_reply,
    parse_position_prefix,
    parse_recovery_request,
)
from pubsub_publisher.subscriptions.ready_subscribers import ReadySubscribers
from pubsub_publisher.topics.topic_state import TopicState

_log = logging.getLogger(__name__)

_BEGINS: Final = b"\x01"
_ENDS: Final = b"\x00"
# Requests that wait for room. Who asked and got no answer asks again, so those that are
# too many need not be kept.
_MAX_WAITING: Final = 1024


class RequestHandler:
    """Receives requests and sends replies. The caller holds the event socket's lock;
    `ready_subscribers` is for any thread."""

    def __init__(
        self, topics: Mapping[str, TopicState], send: Callable[[bytes, int], Any]
    ) -> None:
        """``send`` takes a frame and flags, and raises `zmq.Again`."""
        self.ready_subscribers = ReadySubscribers(topics)
        self.malformed_count = 0  # messages that were not subscriptions
        self.last_request_at = 0.0  # when events were asked for last, or were being so
        self._topics = topics
        self._send = send
        # What is to be answered, as soon as we have a session to answer with, and room.
        self._ready_requests: list[ReadyRequest] = []
        self._recovery_requests: deque[RecoveryRequest] = deque()
        # Topics of which somebody wants to know how far we are, and when to tell.
        self._position_topics: dict[str, None] = {}
        self._position_at = 0.0

    @property
    def pending(self) -> bool:
        """Whether something is still to be answered."""
        return bool(self._ready_requests or self._recovery_requests)

    @property
    def positions_wanted(self) -> bool:
        """Whether somebody wants to know how far we are."""
        return bool(self._position_topics)

    def receive(self, message: bytes) -> None:
        """Take in a subscription, as an XPUB socket tells of it."""
        kind, raw = message[:1], message[1:]
        if kind not in (_BEGINS, _ENDS):
            self.malformed_count += 1
            if self.malformed_count == 1:
                _log.warning("ignoring invalid subscription message (logged once)")
            return
        begins = kind == _BEGINS
        ready = parse_ready_request(raw)
        if ready is not None:
            self.ready_subscribers.update(ready, begins=begins)
            # A broker also passes on what its other publishers are asked.
            if begins and ready.topic in self._topics:
                self._ready_requests.append(ready)
            return
        request = parse_recovery_request(raw)
        if request is not None:
            if (
                begins
                and request.topic in self._topics
                and len(self._recovery_requests) < _MAX_WAITING
            ):
                self._recovery_requests.append(request)
            return
        topic = parse_position_prefix(raw)
        if topic is not None and topic in self._topics:
            if begins:
                self._position_topics[topic] = None
                self.send_positions_soon()
            else:
                self._position_topics.pop(topic, None)

    def send_replies(self, address: str, session: int) -> None:
        """Answer what waits, as far as there is room."""
        if self._ready_requests:
            self._ready_requests = [
                ready
                for ready in self._ready_requests
                if not self._reply_to_ready(ready, address, session)
            ]
        while self._recovery_requests:
            request = self._recovery_requests[0]
            if request.publisher == session:
                self.last_request_at = time.monotonic()
                if not self._reply_to_recovery(request, address):
                    return
            self._recovery_requests.popleft()

    def send_positions(self, address: str, session: int, *, now: float) -> float | None:
        """Tell how far we are, if it is time to; the seconds until the next time, None
        while nobody wants to know."""
        if not self._position_topics:
            return None
        if now >= self._position_at:
            self._position_at = now + POSITION_INTERVAL_S
            for name in self._position_topics:
                number = self._topics[name].next_sequence
                try:
                    self._send(
                        encode_position(name, address, session, number), zmq.NOBLOCK
                    )
                except zmq.Again:
                    break  # the next one says the same
        return max(0.0, self._position_at - now)

    def send_positions_soon(self) -> None:
        """Positions are due, whenever they were told last. For any thread."""
        self._position_at = 0.0

    def _reply_to_ready(self, ready: ReadyRequest, address: str, session: int) -> bool:
        """Answer a ready subscription. When the subscriber's queue is full: False under
        the policy "block"; under "drop" the answer is lost, and it asks again."""
        topic, subscriber, topics = ready
        number = self._topics[topic].next_sequence
        reply = encode_ready_reply(topic, subscriber, address, session, number, topics)
        try:
            self._send(reply, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _reply_to_recovery(self, request: RecoveryRequest, address: str) -> bool:
        """Send events that were asked for; False when there is no room."""
        state = self._topics[request.topic]
        if state.history is None:
            # At once, so that nobody waits for what is not to be had.
            first = max(request.first, state.next_sequence)
            part: tuple[int, list[int], list[bytes]] = (first, [], [])
        else:
            part = state.history.select(request.first, request.last)
        try:
            self._send(encode_recovery_reply(request, address, *part), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

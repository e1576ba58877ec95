"""Replies to messages that the broker rejects, and their count."""

from __future__ import annotations

from typing import Final

from pubsub_broker.control.effects import Effect, Rejected, Send
from pubsub_common.defaults import MAX_CONTROL_BYTES
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Error, Request, StatusRequest
from pubsub_common.protocol.undecodable import explain_undecodable
from pubsub_common.text.printable import printable

_MAX_DETAIL: Final = 500


def decode_request(data: bytes) -> Request:
    """Decode a client's message.

    Raises:
        ProtocolError: it is malformed or too long.
    """
    if len(data) > MAX_CONTROL_BYTES:
        raise ProtocolError(
            f"{len(data)} bytes are too many; at most {MAX_CONTROL_BYTES} are allowed"
        )
    return messages.decode_request(data)


class Refusals:
    """Counts rejected messages."""

    def __init__(self) -> None:
        self.count = 0

    def undecodable(
        self, peer: bytes, data: bytes, error: ProtocolError
    ) -> list[Effect]:
        """Reply to a message that could not be decoded."""
        return self.refuse(peer, explain_undecodable(data, error))

    def too_fast(self, peer: bytes, request: Request) -> list[Effect]:
        """Reply to a request that exceeds the rate limit of its address."""
        return self._later(peer, request.id)

    def unread(self, peer: bytes) -> list[Effect]:
        """Reply to an unread message of an address that has sent too much, so that the
        client knows the reason. The number of these replies is bounded: the connection
        is closed after some."""
        return self._later(peer, -1)

    def no_status(self, peer: bytes, request: StatusRequest) -> list[Effect]:
        """Reply to a client without permission to see the status."""
        detail = "the policy does not let this client ask for the status"
        error = Error(id=request.id, code=messages.NOT_ALLOWED, detail=detail)
        return self.refuse(peer, error)

    def refuse(self, peer: bytes, error: Error) -> list[Effect]:
        """Reply with an error, and log it."""
        self.count += 1
        # Details quote the peer, which may have sent megabytes or line breaks.
        detail = printable(error.detail[:_MAX_DETAIL])[:_MAX_DETAIL]
        error = Error(id=error.id, code=error.code, detail=detail)
        return [Send(peer, error), Rejected(peer, detail)]

    def _later(self, peer: bytes, request_id: int) -> list[Effect]:
        self.count += 1
        detail = "too many requests from this address; try again later"
        return [Send(peer, Error(id=request_id, code=messages.TOO_FAST, detail=detail))]

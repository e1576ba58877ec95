"""The requests of a client that wait for a reply, and the meaning of the broker's errors for
them."""

from __future__ import annotations

import enum
from typing import Final

from pubsub_common.protocol import messages

# Codes of errors that the broker sends without a request.
_EXPELLED: Final = frozenset({messages.REVOKED, messages.NOT_ALLOWED})
# Codes of errors about messages that it did not decode.
_UNREAD: Final = frozenset({messages.MALFORMED, messages.TOO_FAST})
# Codes of errors that pass by themselves.
_LATER: Final = frozenset(
    {messages.TOO_FAST, messages.SESSION_IN_USE, messages.UNKNOWN_SESSION}
)


class Verdict(enum.Enum):
    """The meaning of an error for the client."""

    NOTHING = enum.auto()
    FORGOTTEN = enum.auto()  # the broker does not know the session
    POSTPONED = enum.auto()  # not registered now
    REFUSED = enum.auto()  # not registered at all
    HEARTBEAT_REFUSED = enum.auto()  # a registration may help
    ENDED = enum.auto()  # it was registered, and will not be again


class OpenRequests:
    """Numbers a client's messages, and knows which of them have no reply yet. A client waits
    for one reply at a time."""

    def __init__(self) -> None:
        self._next_id = 0
        self._register_id: int | None = None
        # Whether a registration waits for its reply.
        self.registering = False
        self._heartbeat_id: int | None = None  # of a heartbeat without a reply
        self._heartbeat_refused = False  # and no heartbeat was served since

    def take_id(self) -> int:
        """The number of a message without an expected reply."""
        self._next_id += 1
        return self._next_id

    def registration(self) -> int:
        """The number of a `register` that is sent now."""
        self.registering = True
        self._register_id = self.take_id()
        return self._register_id

    def heartbeat(self) -> int:
        """The number of a heartbeat that is sent now."""
        self._heartbeat_id = self.take_id()
        return self._heartbeat_id

    def forget(self) -> None:
        """No open request will get a reply."""
        self.registering = self._heartbeat_refused = False
        self._register_id = self._heartbeat_id = None

    def registered(self, number: int) -> bool:
        """A registration was accepted. False: it is the reply to an abandoned attempt."""
        if number != self._register_id:
            return False
        self.registering = False
        self._heartbeat_id = None
        return True

    def heartbeat_served(self) -> None:
        self._heartbeat_id = None
        self._heartbeat_refused = False

    def judge(self, error: messages.Error, *, registered: bool) -> Verdict:
        """The meaning of an error for a client that is ``registered`` or not."""
        # The broker may not know the number of a message that it could not decode.
        unread = error.id == -1 and error.code in _UNREAD
        if not registered and (
            error.id == self._register_id or (unread and self.registering)
        ):
            self.registering = False
            return Verdict.POSTPONED if error.code in _LATER else Verdict.REFUSED
        if registered and error.code == messages.UNKNOWN_SESSION:
            return Verdict.FORGOTTEN
        waits = registered and self._heartbeat_id is not None
        if waits and (unread or error.id == self._heartbeat_id):
            return self._heartbeat_error(error)
        if error.id == -1 and error.code in _EXPELLED:
            return Verdict.ENDED
        return Verdict.NOTHING

    def _heartbeat_error(self, error: messages.Error) -> Verdict:
        """A new registration may remove the reason of the error; if not, the client would
        silently lose its lease."""
        self._heartbeat_id = None
        if error.code == messages.TOO_FAST:
            return Verdict.NOTHING  # the next one is soon enough
        if self._heartbeat_refused:
            return Verdict.ENDED
        self._heartbeat_refused = True
        return Verdict.HEARTBEAT_REFUSED

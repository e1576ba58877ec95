"""What a client has asked the broker, and what an error of the broker says about that."""

from __future__ import annotations

import enum
from typing import Final

from pubsub_common.protocol import messages

# Codes of errors that the broker sends without having been asked.
_EXPELLED: Final = frozenset({messages.REVOKED, messages.NOT_ALLOWED})
# And of those about messages that it did not look into.
_UNREAD: Final = frozenset({messages.MALFORMED, messages.TOO_FAST})
# And of those that pass by themselves.
_LATER: Final = frozenset(
    {messages.TOO_FAST, messages.SESSION_IN_USE, messages.UNKNOWN_SESSION}
)


class Verdict(enum.Enum):
    """What an error means for the client."""

    NOTHING = enum.auto()
    FORGOTTEN = enum.auto()  # the broker does not know the session
    POSTPONED = enum.auto()  # not registered now
    REFUSED = enum.auto()  # not registered at all
    HEARTBEAT_REFUSED = enum.auto()  # a registration may help
    ENDED = enum.auto()  # it was registered, and will not be again


class OpenRequests:
    """Numbers a client's messages, and knows which of them have no answer yet. A client
    waits for one answer at a time."""

    def __init__(self) -> None:
        self._next_id = 0
        self._register_id: int | None = None
        # Whether the broker was asked to register this client, and has not answered.
        self.registering = False
        self._heartbeat_id: int | None = None  # of one whose answer has not come
        self._heartbeat_refused = False  # and none was served since

    def take_id(self) -> int:
        """The number of a message whose answer is of no interest."""
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
        """Nothing that was asked will be answered."""
        self.registering = self._heartbeat_refused = False
        self._register_id = self._heartbeat_id = None

    def registered(self, number: int) -> bool:
        """A registration was accepted. False: it is the answer to an attempt that was given
        up."""
        if number != self._register_id:
            return False
        self.registering = False
        self._heartbeat_id = None
        return True

    def heartbeat_served(self) -> None:
        self._heartbeat_id = None
        self._heartbeat_refused = False

    def judge(self, error: messages.Error, *, registered: bool) -> Verdict:
        """What an error means for a client that is ``registered``, or is not."""
        # Of what it could not decode the broker may not even know the number.
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
        """Whatever the broker does not like may be gone after a registration; if not, the
        client would lose its lease without a word."""
        self._heartbeat_id = None
        if error.code == messages.TOO_FAST:
            return Verdict.NOTHING  # the next one is in time
        if self._heartbeat_refused:
            return Verdict.ENDED
        self._heartbeat_refused = True
        return Verdict.HEARTBEAT_REFUSED

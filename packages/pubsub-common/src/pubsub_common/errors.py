"""Every error that a role raises on purpose.

::

    PubSubError
    ├── ConfigError          an argument or option cannot work (exit code 2)
    ├── CannotListen         an address or port cannot be had   (exit code 1)
    ├── BrokerUnreachable    no broker answered in time         (exit code 1)
    ├── RegistrationRefused  the broker said no, and why        (exit code 1)
    ├── HandshakeFailed      keys are missing, wrong or unknown (exit code 1)
    ├── NotReady             a wait ended before what it waited for
    └── ProtocolError        received bytes do not follow the protocol
"""

from __future__ import annotations

from typing import TypeVar

_E = TypeVar("_E", bound="PubSubError")


class PubSubError(Exception):
    """Base of all errors of this project."""


def copy_of(error: _E) -> _E:
    """The same error once more, to be raised. One that is kept and raised again and again
    would gather the frames of all that called, and keep alive what they refer to."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy


class ConfigError(PubSubError):
    """An argument or option has a value that cannot work."""


class CannotListen(PubSubError):
    """An address or port cannot be had: it is in use, not this host's, or not allowed."""


class BrokerUnreachable(PubSubError):
    """No broker answered at ``endpoint`` within ``waited_s`` seconds; 0: a refused connection
    ended the wait. ``reason`` tells what was found there instead."""

    def __init__(
        self, endpoint: str, waited_s: float, reason: str | None = None
    ) -> None:
        self.endpoint = endpoint
        self.waited_s = waited_s
        self.reason = reason
        what = (
            "; is it running, and is this its address and port?"
            if reason is None
            else f": {reason}"
        )
        within = f" within {waited_s:g} s" if waited_s else ""
        super().__init__(f"no broker answered at {endpoint}{within}{what}")


class RegistrationRefused(PubSubError):
    """The broker rejected a registration, or ``ended`` one that it had accepted, for the
    reason ``code`` (see messages)."""

    def __init__(self, code: str, detail: str, *, ended: bool = False) -> None:
        self.code = code
        self.detail = detail
        did = "ended" if ended else "rejected"
        super().__init__(f"the broker {did} the registration: {detail}")


class HandshakeFailed(PubSubError):
    """The broker and this client do not agree on keys; ``reason`` says what to do."""

    def __init__(self, reason: str, after: str | None = None) -> None:
        """``after`` is what to say instead, when the reason has been said already."""
        self.reason = reason
        super().__init__(after or reason)
        if after is not None:
            self.add_note(reason)


class NotReady(PubSubError):
    """A wait ended at its deadline; the text says what was still missing."""


class ProtocolError(PubSubError):
    """Received bytes do not follow the protocol; the text says where."""

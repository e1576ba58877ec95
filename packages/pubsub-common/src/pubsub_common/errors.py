"""Every error that a role raises on purpose.

::

    PubSubError
    ├── ConfigError          an argument or option is not valid (exit code 2)
    ├── CannotListen         an address or port is not available (exit code 1)
    ├── BrokerUnreachable    no broker answered in time         (exit code 1)
    ├── RegistrationRefused  the broker rejected the client     (exit code 1)
    ├── HandshakeFailed      keys are missing, wrong or unknown (exit code 1)
    ├── NotReady             a wait ended too early
    └── ProtocolError        received bytes do not follow the protocol
"""

from __future__ import annotations

from typing import TypeVar

_E = TypeVar("_E", bound="PubSubError")


class PubSubError(Exception):
    """Base of all errors of this project."""


def copy_of(error: _E) -> _E:
    """A copy of the error, to be raised. An error that is stored and raised repeatedly would
    collect the frames of all callers, and keep their objects alive."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy


class ConfigError(PubSubError):
    """An argument or option has a value that cannot work."""


class CannotListen(PubSubError):
    """An address or port is not available: it is in use, not one of this host, or not
    allowed."""


class BrokerUnreachable(PubSubError):
    """No broker answered at ``endpoint`` within ``waited_s`` seconds; 0: a refused connection
    ended the wait. ``reason`` names the program that was found there."""

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
    """The keys of the broker and of this client do not match; ``reason`` names the remedy."""

    def __init__(self, reason: str, after: str | None = None) -> None:
        """``after`` replaces the reason in the text, if the reason was logged already."""
        self.reason = reason
        super().__init__(after or reason)
        if after is not None:
            self.add_note(reason)


class NotReady(PubSubError):
    """A wait ended at its deadline; the text names the missing part."""


class ProtocolError(PubSubError):
    """Received bytes do not follow the protocol; the text says where."""

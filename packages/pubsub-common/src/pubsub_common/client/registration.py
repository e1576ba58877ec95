"""Registration state of a client. Its control thread updates it, and other threads wait for it.

Without a lock: only the control thread stores attributes, each as a whole, and it stores a
result before `notify`. Changes come from any thread through a queue.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pubsub_common.client.identity import Identity
from pubsub_common.errors import (
    BrokerUnreachable,
    HandshakeFailed,
    NotReady,
    PubSubError,
    RegistrationRefused,
    copy_of,
)
from pubsub_common.net.changed import Changed
from pubsub_common.protocol.messages import Registered
from pubsub_common.security.greeting_probe import Listener, explain, look

if TYPE_CHECKING:
    from pubsub_common.client.handshake_diagnosis import Diagnosis

_log = logging.getLogger(__name__)

# When an unreachable broker is logged: not at once, because one command may start both.
_MENTION_AFTER_S: Final = 1.0
_TCP: Final = "tcp://"


class Change(NamedTuple):
    """A new identity of this client; the ``number`` is greater than those before."""

    number: int
    identity: Identity


class RegistrationState:
    """Methods are for any thread or for the control thread, by group.

    ``hint`` is a possible reason for a missing connection, or None.
    """

    def __init__(self, endpoint: str, identity: Identity) -> None:
        self.endpoint = endpoint
        self.identity = identity
        self.hint: str | None = None
        self._unconnected = False
        self._changed = Changed()
        self._numbers = itertools.count(1)
        self._submitted: deque[Change] = deque()
        self._told = 0  # the last change that the broker knows
        self._closed = False
        self._error: PubSubError | None = None
        self._registered: Registered | None = None
        self._postponed: RegistrationRefused | None = None
        self._told_reasons: set[str] = (
            set()
        )  # reasons of postponements since the last registration

    # For any thread

    @property
    def registered(self) -> bool:
        """Whether the broker has ever accepted this client."""
        return self._registered is not None

    @property
    def error(self) -> PubSubError | None:
        """Why this client has ended, to be raised; None while it has not."""
        error = self._error
        return None if error is None else copy_of(error)

    def wait_registered(
        self, timeout_s: float, *, stopped: Callable[[], bool]
    ) -> Registered:
        """As `ControlClient.wait_registered`."""

        def ended() -> bool:
            known = self.registered or self._error is not None
            return known or self._closed or stopped()

        deadline = time.monotonic() + timeout_s
        mention = min(_MENTION_AFTER_S, timeout_s)
        self._changed.wait_for(lambda: ended() or self._unconnected, mention)
        left_s = deadline - time.monotonic()
        if not ended() and left_s > 0:
            if self.hint is None:  # else the hint was logged
                refused = self._unconnected and self._found() is Listener.REFUSED
                _log.warning(
                    "no broker at %s yet%s; trying for %g s",
                    self.endpoint,
                    " (connection refused)" if refused else "",
                    timeout_s,
                )
            self._changed.wait_for(ended, max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise copy_of(self._error)
        if self._registered is not None:
            return self._registered
        if self._closed or stopped():
            raise NotReady(f"stopped before a broker answered at {self.endpoint}")
        if self._postponed is not None:
            raise copy_of(self._postponed)
        if self.hint is not None:
            where = self.endpoint.removeprefix("tcp://")
            gave_up = f"gave up on the broker at {where} after {timeout_s:g} s"
            raise HandshakeFailed(self.hint, gave_up)
        found = self._found()
        reason = None if found is None else explain(found, timeout_s)
        raise BrokerUnreachable(self.endpoint, timeout_s, reason)

    def _found(self) -> Listener | None:
        """The listener at the broker's address; None: the address is not known, or there are
        several brokers and not all of them refuse connections."""
        endpoints = self.endpoint.split(", ")
        if not all(each.startswith(_TCP) for each in endpoints):
            return None
        several = len(endpoints) > 1
        for each in endpoints:
            found = look(each.removeprefix(_TCP))
            if several and found is not Listener.REFUSED:
                return None
        return found

    def submit(self, identity: Identity) -> int:
        """As `ControlClient.submit`, without waking the control thread."""
        change = Change(next(self._numbers), identity)
        self._submitted.append(change)
        return change.number

    def wait_told(
        self, number: int, timeout_s: float, *, stopped: Callable[[], bool]
    ) -> None:
        """As `ControlClient.wait_told`."""

        def ended() -> bool:
            known = self._told >= number or self._error is not None
            return known or self._closed or stopped()

        self._changed.wait_for(ended, timeout_s)
        if self._told >= number:
            return
        if self._error is not None:
            raise copy_of(self._error)
        if self._closed:
            raise NotReady("disconnected before the broker answered")
        if stopped():
            raise NotReady("stopped before the broker answered")
        raise BrokerUnreachable(self.endpoint, timeout_s)

    def close(self) -> None:
        """Nothing more will be sent to the broker; waiting threads return."""
        self._closed = True
        self._changed.notify()

    # For the control thread

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """The connection to the broker failed for a reason that may pass."""
        if not diagnosis.connected:
            self._unconnected = True
            self._changed.notify()
        elif diagnosis.text != self.hint:
            self.hint = diagnosis.text
            _log.warning("%s; still trying", diagnosis.text)

    def take_change(self) -> Change | None:
        """The identity to send to the broker, if it has changed."""
        newest = None
        while self._submitted:
            change = self._submitted.popleft()
            if newest is None or change.number > newest.number:
                newest = change
        return newest

    def postponed(self, reason: RegistrationRefused) -> bool:
        """The broker asks for a later try. Returns whether the reason is new."""
        is_news = reason.code not in self._told_reasons
        self._told_reasons.add(reason.code)
        self._postponed = reason
        return is_news

    def joined(self, reply: Registered, told: int) -> None:
        """The broker has accepted this client with change ``told``."""
        self.hint = None
        self._postponed = None
        self._told_reasons.clear()
        self._told = told
        if self._registered is None:
            self._registered = reply

    def fail(self, error: PubSubError) -> None:
        """This client has ended."""
        self._error = error

    def notify(self) -> None:
        """Make waiting threads check again."""
        self._changed.notify()

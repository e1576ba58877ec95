"""Registration state of a client, which its control thread updates and others wait for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from pubsub_common.client.session import Identity
from pubsub_common.defaults import WAIT_SLICE_S
from pubsub_common.errors import (
    BrokerUnreachable,
    HandshakeFailed,
    NotReady,
    PubSubError,
    RegistrationRefused,
)
from pubsub_common.protocol.messages import Registered

_log = logging.getLogger(__name__)

# When an unreachable broker is mentioned: at once would also be said to a user who
# starts both with one command.
_MENTION_AFTER_S: Final = 1.0


class RegistrationState:
    """`wait_registered` and `change` are for any thread, what is below them for the
    control thread.

    ``error`` is why this client is finished, ``hint`` why there may be no connection; None
    while there is no such thing.
    """

    def __init__(self, endpoint: str, identity: Identity) -> None:
        self.error: PubSubError | None = None
        self.hint: str | None = None
        self._endpoint = endpoint
        self._changed = threading.Condition()
        # To be told to the broker; what is being told; what the broker knows.
        self._identity: Identity | None = None
        self._sent: Identity = identity
        self._told: Identity | None = None
        self._registered: Registered | None = None
        self._postponed: RegistrationRefused | None = None

    # For any thread

    @property
    def registered(self) -> bool:
        """Whether the broker has ever accepted this client."""
        return self._registered is not None

    def wait_registered(
        self, timeout_s: float, *, stopped: Callable[[], bool]
    ) -> Registered:
        """As `ControlClient.wait_registered`."""
        mention = min(_MENTION_AFTER_S, timeout_s)
        if not self._wait(mention, stopped) and timeout_s > mention:
            if self.hint is None:  # else something has been said
                _log.warning(
                    "no broker at %s yet; trying for %g s", self._endpoint, timeout_s
                )
            self._wait(timeout_s - mention, stopped)
        with self._changed:
            if self.error is not None:
                raise self.error
            if self._registered is not None:
                return self._registered
            if self._postponed is not None and not stopped():
                raise self._postponed
        if stopped():
            raise NotReady(f"stopped before a broker answered at {self._endpoint}")
        if self.hint is not None:
            where = self._endpoint.removeprefix("tcp://")
            gave_up = f"gave up on the broker at {where} after {timeout_s:g} s"
            raise HandshakeFailed(self.hint, gave_up)
        raise BrokerUnreachable(self._endpoint, timeout_s)

    def change(
        self, identity: Identity, timeout_s: float, wake: Callable[[], None]
    ) -> None:
        """As `ControlClient.change`; ``wake`` wakes the control thread."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._identity = identity
            wake()
            while self._identity is not None or self._told is not identity:
                if self.error is not None:
                    raise self.error
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise BrokerUnreachable(self._endpoint, timeout_s)
                self._changed.wait(min(left_s, WAIT_SLICE_S))

    def _wait(self, timeout_s: float, stopped: Callable[[], bool]) -> bool:
        """Whether there was an answer, or no need for one, before the time was up."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._registered is None and self.error is None and not stopped():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(min(left_s, WAIT_SLICE_S))
        return True

    # For the control thread

    def take_change(self) -> Identity | None:
        """What is to be told to the broker, if it is something else than before."""
        with self._changed:
            identity, self._identity = self._identity, None
        if identity is not None:
            self._sent = identity
        return identity

    def postponed(self, reason: RegistrationRefused) -> bool:
        """The broker wants to be asked again later. Whether this is news."""
        is_news = self._postponed is None
        self._postponed = reason
        return is_news

    def joined(self, reply: Registered) -> None:
        """The broker knows what it was told."""
        with self._changed:
            self.hint = None
            self._postponed = None
            self._told = self._sent
            if self._registered is None:
                self._registered = reply

    def notify(self) -> None:
        """Have the waiting threads look again."""
        with self._changed:
            self._changed.notify_all()

"""The ways to publishers, decentralized: one socket for all, or one for each. Shell.

Where the broker is secure each publisher has a socket of its own: it is subscribed to what
the broker says this publisher may publish, and what else a publisher sends, libzmq throws
away before anybody sees it. It also has the publisher's key, so nobody else can answer.
Elsewhere one socket for all is cheaper.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import zmq

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
)
from pubsub_subscriber.connections.interface import NewInlet
from pubsub_subscriber.connections.socket_set import SocketSet
from pubsub_subscriber.connections.sub_socket import Inlet
from pubsub_subscriber.streams.stream_table import place_of

if TYPE_CHECKING:
    from pubsub_common.security.keys import KeyPair

_log = logging.getLogger(__name__)

# How often a publisher that does not let us in is asked again, at first and at last, and
# when it is said: the broker may be about to tell it of us. Each time costs both sides some
# milliseconds of a processor, which is what they lack when hundreds start at once.
_AGAIN_S: Final = 0.5
_AGAIN_MOST_S: Final = 4.0
_SAY_AFTER: Final = 3

# A publisher that left is heard until all that was under way has arrived; but should it
# go on publishing, only so long: nobody would tell us any more that it is revoked.
_PARTING_S: Final = 60.0

# Each publisher takes three sockets (its own, and two of the watch on it), and these and
# the connection a file each.
_MANY_PUBLISHERS: Final = 4096
SOCKETS: Final = 3 * _MANY_PUBLISHERS
_FILES: Final = 4 * _MANY_PUBLISHERS


def allow_files() -> None:
    """Let this process open as many files as that takes, as far as it may: by default it
    is enough for 250 publishers."""
    import resource  # only who has keys needs it

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # some kernels allow less
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class SharedWay:
    """One socket for all publishers."""

    def __init__(self, sockets: SocketSet, new_inlet: NewInlet) -> None:
        self._sockets = sockets
        self._new_inlet = new_inlet

    def begin(self, names: Iterable[str]) -> None:
        inlet = self._sockets.get(0)
        if inlet is None:
            self._sockets.add(0, self._new_inlet(names))
        else:
            inlet.add(names)

    def join(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None:
            return False
        inlet = self._sockets.get(0)
        return inlet is not None and inlet.connect(publisher.address)

    def leave(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        if publisher.address is None or address_in_use:
            return False
        inlet = self._sockets.get(0)
        return inlet is not None and inlet.disconnect(publisher.address)

    def may_forget(self) -> bool:
        return True

    def forget(self, topic: str) -> bool:
        inlet = self._sockets.get(0)
        return inlet is not None and inlet.remove([topic])

    def inlet(self, session: int, topic: str) -> Inlet | None:
        return self._sockets.get(0)

    def look(self) -> float | None:
        return None


@dataclasses.dataclass(slots=True)
class _Way:
    """A socket for one publisher."""

    number: int
    inlet: Inlet
    publisher: PublisherInfo
    watch: ClientHandshakeMonitor
    refusals: int = 0
    again_at: float | None = None
    again_s: float = _AGAIN_S
    left_at: float | None = None


class SeparateWays:
    """A socket for each publisher, which must have the key that the broker names."""

    def __init__(
        self,
        sockets: SocketSet,
        new_inlet: NewInlet,
        pair: KeyPair,
        has_left: Callable[[int], bool],
    ) -> None:
        """``pair`` are our own keys; ``has_left`` tells whether the publisher of a
        session has left."""
        self._sockets = sockets
        self._new_inlet = new_inlet
        self._pair = pair
        self._has_left = has_left
        self._numbers = itertools.count(1)
        self._ways: dict[int, _Way] = {}  # by session
        # Those for which there was no socket, by session.
        self._unheard: dict[int, PublisherInfo] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Each publisher's topics come with it."""

    def join(self, publisher: PublisherInfo) -> bool:
        if publisher.address is None or publisher.key is None:
            return False
        way = self._ways.get(publisher.session) or self._renewed(publisher)
        if way is not None:
            if place_of(way.publisher) == place_of(publisher):
                way.publisher = publisher
                # A topic that it gave up may be one that it must not have any more.
                given_up = way.inlet.topics - set(publisher.topics)
                arrived = way.inlet.remove(given_up)
                return way.inlet.add(publisher.topics) or arrived
            self._retire(way)
        try:
            self._open(publisher, publisher.address, publisher.key)
        except zmq.ZMQError as error:
            if error.errno != errno.EMFILE:
                raise
            # No reason to leave those who have one.
            if not self._unheard:
                _log.error(
                    "the publisher at %s, or more of them, cannot be heard: %s "
                    "(ulimit -n); trying again",
                    publisher.address,
                    error.strerror,
                )
            self._unheard[publisher.session] = publisher
        return True

    def _open(self, publisher: PublisherInfo, address: str, key: str) -> None:
        """Raises:
        zmq.ZMQError: there are no more files or sockets.
        """
        from pubsub_common.security.keys import configure_curve_client

        inlet = self._new_inlet(publisher.topics)
        try:
            inlet.restrict(publisher.session)
            configure_curve_client(inlet.socket, self._pair, key)
            inlet.watch = watch = ClientHandshakeMonitor(inlet.socket)
        except BaseException:
            inlet.close(0)
            raise
        number = next(self._numbers)
        self._ways[publisher.session] = _Way(number, inlet, publisher, watch)
        inlet.connect(address)
        self._sockets.add(number, inlet)

    def _renewed(self, publisher: PublisherInfo) -> _Way | None:
        """The way to a publisher that has a new session now: it goes on, since what it
        sends by that connection is in the new name, and what is left in the old one."""
        place = place_of(publisher)
        for session, way in self._ways.items():
            if place_of(way.publisher) == place:
                self._ways[publisher.session] = self._ways.pop(session)
                way.inlet.also = {session}
                way.inlet.only = publisher.session
                return way
        return None

    def leave(self, publisher: PublisherInfo, *, address_in_use: bool) -> bool:
        self._unheard.pop(publisher.session, None)
        way = self._ways.get(publisher.session)
        if way is None:
            return False
        # What still waits is not wanted, and one that floods would go on for ever.
        way.inlet.disconnect(way.publisher.address or "")
        self._retire(way)
        return True

    def may_forget(self) -> bool:
        return True

    def forget(self, topic: str) -> bool:
        arrived = False
        for way in self._ways.values():
            arrived |= way.inlet.remove([topic])
        return arrived

    def inlet(self, session: int, topic: str) -> Inlet | None:
        way = self._ways.get(session)
        return None if way is None else way.inlet

    def look(self) -> float | None:
        now = time.monotonic()
        for way in self._ways.values():
            for failure in way.watch.failures():
                way.refusals += 1
                if not failure.retrying:
                    way.again_at = now + way.again_s
                    way.again_s = min(2 * way.again_s, _AGAIN_MOST_S)
                if way.refusals == _SAY_AFTER or failure.retrying:
                    self._say(way.publisher, failure.why)
            if way.again_at is not None and now >= way.again_at:
                way.again_at = None
                way.inlet.reconnect(way.publisher.address or "")
            if not self._has_left(way.publisher.session):
                way.left_at = None
            elif way.left_at is None:
                way.left_at = now
            elif now - way.left_at > _PARTING_S:
                way.again_at = None
                way.inlet.disconnect(way.publisher.address or "")
        self._try_unheard()
        return _AGAIN_S if self._ways or self._unheard else None

    def _try_unheard(self) -> None:
        for session, publisher in list(self._unheard.items()):
            if not self._has_left(session):
                self.join(publisher)
                if session not in self._ways:
                    return  # there is still none
            del self._unheard[session]

    def _say(self, publisher: PublisherInfo, why: FailureReason) -> None:
        _log.warning(
            "the publisher at %s is not connected: %s; still trying",
            publisher.address,
            why.value,
        )

    def _retire(self, way: _Way) -> None:
        """What it still holds is taken out by the receiving thread."""
        del self._ways[way.publisher.session]
        self._sockets.retire(way.number)

"""Where to connect for endpoints whose host is a name.

The name is looked up before the first connection, and again whenever there has been no
connection for a while: the host may have another address now. Where it has several, each gets
its turn. The *place* of an endpoint is the same with an IP address for its name; an endpoint
with an IP address is its own place.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from pubsub_common.defaults import LOOKUP_RETRY_MAX_S, LOOKUP_RETRY_S
from pubsub_common.errors import PubSubError
from pubsub_common.net.name_lookups import NameLookups
from pubsub_common.printable import printable
from pubsub_common.protocol.endpoints import host_of, is_ipv6, is_name, join, port_of

_log = logging.getLogger(__name__)

# Without a connection for so long, the name is looked up again: longer than a connection that
# was lost usually takes to come back.
_LOST_S: Final = 3.0
_LOOK_EVERY_S: Final = 1.0


@dataclasses.dataclass(slots=True)
class _Named:
    """``look_up_at``: when the name is to be looked up again, unless there is a connection
    by then; infinity: that is under way. ``silent``: its failure was logged."""

    host: str
    port: int
    place: str | None = None
    look_up_at: float = math.inf
    retry_s: float = LOOKUP_RETRY_S
    silent: bool = False


class NamedEndpoints:
    """For one thread, but `place`, which any may call. ``now`` is monotonic seconds."""

    def __init__(
        self,
        connected: Callable[[], Collection[str]],
        *,
        lookups: NameLookups | None = None,
        is_own: Callable[[str], bool] = lambda _place: False,
        one_family: bool = False,
    ) -> None:
        """``connected`` tells to which places there are connections. Where this program
        itself listens, which ``is_own`` tells, it never connects to. With ``one_family`` an
        endpoint keeps to IPv4 or IPv6, as it began."""
        self.lookups = lookups or NameLookups()
        self._connected = connected
        self._is_own = is_own
        self._one_family = one_family
        self._named: dict[str, _Named] = {}
        self._by_host: dict[str, set[str]] = {}
        self._look_at = math.inf

    def place(self, endpoint: str) -> str | None:
        """Where to connect; None while that is not known."""
        named = self._named.get(endpoint)
        if named is not None:
            return named.place
        return None if is_name(host_of(endpoint)) else endpoint

    def begin(self, endpoint: str, now: float, place: str | None = None) -> str | None:
        """From now on `look` tells where this one is. Its place, if it is known; it is
        ``place`` if somebody has looked it up already."""
        host = host_of(endpoint)
        if not is_name(host):
            return endpoint
        named = self._named.get(endpoint)
        if named is None:
            named = self._named[endpoint] = _Named(host, port_of(endpoint), place)
            self._by_host.setdefault(host, set()).add(endpoint)
            if place is None:
                self.lookups.ask(host)
            else:
                named.look_up_at = now + _LOST_S
            self._look_at = min(self._look_at, now + _LOOK_EVERY_S)
        return named.place

    def end(self, endpoint: str) -> None:
        """It is not to be connected to any more."""
        named = self._named.pop(endpoint, None)
        if named is not None:
            of_host = self._by_host[named.host]
            of_host.discard(endpoint)
            if not of_host:
                del self._by_host[named.host]
        if not self._named:
            self._look_at = math.inf

    def look(self, now: float) -> list[tuple[str, str | None]]:
        """Those endpoints that have another place now, with the one before."""
        if not self._named:
            self.lookups.take()
            return []
        moved = []
        for name, answer in self.lookups.take():
            for endpoint in sorted(self._by_host.get(name, ())):
                named = self._named[endpoint]
                if named.look_up_at != math.inf:
                    continue
                before = named.place
                self._answered(endpoint, named, answer, now)
                if named.place != before:
                    moved.append((endpoint, before))
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._look_up_lost(now)
        return moved

    def by_place(self, endpoints: Iterable[str]) -> dict[str, str]:
        """Those of some endpoints that have a place, by that."""
        found = ((self.place(each), each) for each in endpoints)
        return {place: endpoint for place, endpoint in found if place is not None}

    def next_deadline(self) -> float | None:
        """When `look` has something to do; None while nothing has a name."""
        return self._look_at if self._named else None

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `look`; None while nothing has a name."""
        return max(0.0, self._look_at - now) if self._named else None

    def _look_up_lost(self, now: float) -> None:
        connected = self._connected()
        for named in self._named.values():
            if named.place in connected:
                named.look_up_at = now + _LOST_S
                named.retry_s = LOOKUP_RETRY_S
            elif now >= named.look_up_at:
                named.look_up_at = math.inf
                self.lookups.ask(named.host)

    def _answered(
        self,
        endpoint: str,
        named: _Named,
        answer: Sequence[str] | PubSubError,
        now: float,
    ) -> None:
        wait_s = named.retry_s
        named.retry_s = min(2 * wait_s, LOOKUP_RETRY_MAX_S)
        named.look_up_at = now + wait_s + _LOST_S
        error: object = answer
        if not isinstance(answer, PubSubError):
            places = [join(host, named.port) for host in answer]
            usable = self._usable(places, named.place)
            if usable:
                named.place = _after(named.place, usable)
                named.silent = False
                return
            error = f"{named.host!r} is {places[0]}, a port of this program itself"
        if named.place is None:
            named.look_up_at = now + wait_s
        if not named.silent:
            named.silent = True
            _log.warning(
                "cannot connect to %s: %s; retrying", endpoint, printable(str(error))
            )

    def _usable(self, places: list[str], before: str | None) -> list[str]:
        usable = [place for place in places if not self._is_own(place)]
        if self._one_family and before is not None:
            usable = [each for each in usable if is_ipv6(each) == is_ipv6(before)]
        return usable


def _after(before: str | None, places: list[str]) -> str:
    """Whose turn it is: the next one after the one that was no good."""
    turn = places.index(before) + 1 if before in places else 0
    return places[turn % len(places)]


def sooner(one_s: float | None, other_s: float | None) -> float | None:
    """The shorter of two waits; None is one without an end."""
    if one_s is None or other_s is None:
        return other_s if one_s is None else one_s
    return min(one_s, other_s)

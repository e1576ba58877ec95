"""Resolves endpoints with host names.

A name is resolved before the first connection, and again when there has been no
connection for a while: the host may have another address now. If it has several, each
gets its turn. The *place* of an endpoint has an IP address instead of the name; an
endpoint with an IP address is its own place.
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
from pubsub_common.protocol.endpoints import host_of, is_ipv6, is_name, join, port_of
from pubsub_common.text.printable import printable

_log = logging.getLogger(__name__)

# Without a connection for this long, the name is resolved again: longer than a lost
# connection usually takes to come back.
_LOST_S: Final = 3.0
_LOOK_EVERY_S: Final = 1.0


@dataclasses.dataclass(slots=True)
class _Named:
    """``look_up_at``: when to resolve the name again, unless there is a connection by
    then; infinity: in progress. ``silent``: its failure was logged."""

    host: str
    port: int
    place: str | None = None
    look_up_at: float = math.inf
    retry_s: float = LOOKUP_RETRY_S
    silent: bool = False


class NamedEndpoints:
    """For one thread, except `place`, which any thread may call. ``now`` is monotonic
    seconds."""

    def __init__(
        self,
        connected: Callable[[], Collection[str]],
        *,
        lookups: NameLookups | None = None,
        is_own: Callable[[str], bool] = lambda _place: False,
        one_family: bool = False,
    ) -> None:
        """``connected`` returns the places with connections. ``is_own``: whether this
        program itself listens at a place; it never connects there. With ``one_family``
        an endpoint keeps to IPv4 or IPv6, as it began."""
        self.lookups = lookups or NameLookups()
        self._connected = connected
        self._is_own = is_own
        self._one_family = one_family
        self._named: dict[str, _Named] = {}
        self._by_host: dict[str, set[str]] = {}
        self._look_at = math.inf

    def place(self, endpoint: str) -> str | None:
        """The address to connect to; None while unknown."""
        named = self._named.get(endpoint)
        if named is not None:
            return named.place
        return None if is_name(host_of(endpoint)) else endpoint

    def begin(self, endpoint: str, now: float, place: str | None = None) -> str | None:
        """Resolve this endpoint from now on. Returns its place, if known; that is
        ``place`` if another resolver has found it already."""
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
        """Stop resolving this endpoint."""
        named = self._named.pop(endpoint, None)
        if named is not None:
            of_host = self._by_host[named.host]
            of_host.discard(endpoint)
            if not of_host:
                del self._by_host[named.host]
        if not self._named:
            self._look_at = math.inf

    def look(self, now: float) -> list[tuple[str, str | None]]:
        """The endpoints with a new place, with the previous one."""
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
        """Those of some endpoints that have a place, by that place."""
        found = ((self.place(each), each) for each in endpoints)
        return {place: endpoint for place, endpoint in found if place is not None}

    def next_deadline(self) -> float | None:
        """When `look` is due; None without names."""
        return self._look_at if self._named else None

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `look`; None without names."""
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
            why = (
                "a port of this program itself"
                if all(map(self._is_own, places))
                else f"which is of another IP version than {named.place}"
            )
            error = f"{named.host!r} is {places[0]}, {why}"
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
    """The address after the one that failed."""
    turn = places.index(before) + 1 if before in places else 0
    return places[turn % len(places)]

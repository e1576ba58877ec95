"""The addresses of a client's brokers. The address of a name may change while the client
runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from pubsub_common.defaults import LOOKUP_RETRY_S, WAIT_SLICE_S
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.net import addresses
from pubsub_common.net.name_lookups import NameLookups, resolve_within
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.net.sockets import endpoint
from pubsub_common.protocol.endpoints import (
    host_of,
    is_loopback,
    is_name,
    join,
    port_of,
)
from pubsub_common.security.lost_connections import CONNECTED


class BrokerPlace:
    """The address of one broker. `host` and `endpoint` are for any thread, the rest for the
    control thread."""

    def __init__(self, name: str, address: str | None = None) -> None:
        """The broker is at ``name``, ``HOST:PORT``; its host was looked up if there is an
        ``address``."""
        self.name: Final = name
        if address is None and not is_name(host_of(name)):
            address = host_of(name)
        self._place = None if address is None else join(address, port_of(name))
        # This client's own address has the same family.
        self._named = NamedEndpoints(CONNECTED, one_family=True)
        self._begun = False

    @property
    def host(self) -> str | None:
        """The IP address of the broker, if it is known."""
        return None if self._place is None else host_of(self._place)

    @property
    def endpoint(self) -> str | None:
        """``tcp://host:port``, with that address."""
        place = self._place
        return None if place is None else endpoint(host_of(place), port_of(place))

    @property
    def is_loopback(self) -> bool:
        """Whether it is known to be on this machine."""
        return self.host is not None and is_loopback(self.host)

    def on_answer(self, wake: Callable[[], None]) -> None:
        """From now on call ``wake`` when `look` has work."""
        self._named.lookups.answered = wake

    def look(self, now: float) -> bool:
        """Whether the broker has another `endpoint` since the last call. The first call looks
        up its name, if that was not done."""
        if not self._begun:
            self._begun = True
            self._named.begin(self.name, now, self._place)
        moved = self._named.look(now)
        if moved:
            self._place = self._named.place(self.name) or self._place
        return bool(moved)

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `look`; None: never."""
        return self._named.due_s(now)


class BrokerPlaces:
    """The brokers of a client. `current` is the broker that it is connected to, or was last.
    That, `host` and `shown` are for any thread."""

    def __init__(self, places: Sequence[BrokerPlace]) -> None:
        """``places`` are the brokers that the user has named, at least one."""
        self.current = next((each for each in places if each.host), places[0])
        self._given: Final = tuple(places)
        # Names that brokers have sent, or that were looked up.
        self._places = {place.name: place for place in places}

    @classmethod
    def of(cls, *brokers: str) -> Self:
        """The brokers at these endpoints, ``HOST:PORT``."""
        return cls([BrokerPlace(broker) for broker in brokers])

    @property
    def given(self) -> tuple[str, ...]:
        """The brokers that the user has named, as HOST:PORT."""
        return tuple(place.name for place in self._given)

    @property
    def host(self) -> str | None:
        """The IP address of the current broker, if it is known."""
        return self.current.host

    @property
    def shown(self) -> str:
        """The brokers that are tried, for people."""
        return ", ".join(each.endpoint or each.name for each in self._given)

    def place(self, name: str) -> BrokerPlace:
        """The place of a broker."""
        return self._places.setdefault(name, BrokerPlace(name))

    def forget_others(self, known: Sequence[str]) -> None:
        """Remove the brokers that are not in ``known``."""
        for name in self._places.keys() - {*known, *self.given, self.current.name}:
            del self._places[name]

    def peer(self) -> str | None:
        """The IP address of the broker that best shows by which address others reach this
        host; None: none is known."""
        hosts = [each.host for each in (self.current, *self._given) if each.host]
        return min(hosts, key=is_loopback, default=None)


def find_brokers(
    brokers: Sequence[tuple[str, int]],
    timeout_s: float,
    *,
    stopped: Callable[[], bool],
) -> BrokerPlaces:
    """The places of these brokers, each a host and a port. Waits until the name of one of them
    is looked up, as `resolve_within` does; the others are looked up when needed.

    Raises:
        PubSubError: None of their names is known.
        NotReady: ``stopped`` became true before.
    """
    hosts = [host for host, _ in brokers]
    found: dict[str, str] = {}
    if len(set(hosts)) == 1:
        found[hosts[0]] = resolve_within(hosts[0], timeout_s, stopped=stopped)
    elif all(map(is_name, hosts)):
        found = _look_up_any(hosts, timeout_s, stopped)
    return BrokerPlaces(
        [BrokerPlace(join(host, port), found.get(host)) for host, port in brokers]
    )


def _look_up_any(
    names: Sequence[str], timeout_s: float, stopped: Callable[[], bool]
) -> dict[str, str]:
    """The IP addresses of the names that are found first."""
    lookups = NameLookups(lambda name: [addresses.resolve(name)])
    deadline = time.monotonic() + timeout_s
    errors: dict[str, PubSubError] = {}
    ask_at = time.monotonic()
    while True:
        if time.monotonic() >= ask_at:
            ask_at = time.monotonic() + LOOKUP_RETRY_S
            for name in names:
                lookups.ask(name)
        found = {}
        for name, answer in lookups.take():
            if isinstance(answer, PubSubError):
                errors[name] = answer
            else:
                found[name] = answer[0]
        if found:
            return found
        if stopped():
            raise NotReady(f"stopped before one of {', '.join(names)} was known")
        if time.monotonic() >= deadline:
            texts = [str(error) for error in errors.values()]
            raise PubSubError(
                "; ".join(texts) or f"none of {', '.join(names)} is known yet"
            )
        time.sleep(WAIT_SLICE_S / 4)


def current_broker(
    brokers: BrokerPlaces | None, given: Sequence[tuple[str, int]]
) -> str:
    """The broker that a client is connected to, or was last, as ``host:port``; before that,
    the first ``given`` one."""
    return join(*given[0]) if brokers is None else brokers.current.name


def own_host(given: str | None, brokers: BrokerPlaces | None, broker_host: str) -> str:
    """This host as the broker knows it: ``given`` if it is set, else its IP address towards the
    ``brokers``, or towards ``broker_host`` while that is not looked up.

    Raises:
        PubSubError: The broker's name is unknown, or there is no route to it.
    """
    if given is not None:
        return given
    peer = None if brokers is None else brokers.peer()
    return addresses.host_address(peer or addresses.resolve(broker_host))

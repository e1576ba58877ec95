"""The broker that a client is connected to, and its changes.

A client that knows one broker stays with it. A client that knows several leaves a broker that
sends a farewell, closes the connection, or sends nothing for a lease; it then has none until
another one answers. While a broker is silent for a moment only, or cut off from its group,
the client keeps it until there is a better one.
"""

from __future__ import annotations

import logging
import random
import select
from collections.abc import Callable, Sequence
from typing import Final

from pubsub_common.client.broker_choice import BrokerChoice
from pubsub_common.client.broker_link import BrokerLink
from pubsub_common.client.broker_place import BrokerPlaces
from pubsub_common.client.broker_search import BrokerSearch
from pubsub_common.client.clock_offset import ClockProbes
from pubsub_common.client.session import ClientSession
from pubsub_common.client.session_updates import Accepted, BrokerLost, Rejected
from pubsub_common.earliest import earliest
from pubsub_common.protocol.endpoints import is_address
from pubsub_common.protocol.messages import TOO_MANY

_log = logging.getLogger(__name__)

# Rounds through all brokers before "no broker answers" is logged: some seconds.
_PASSES_SAID: Final = 3
_FAREWELL: Final = "is shutting down"
_BROKEN: Final = "closed the connection"
_SILENT: Final = "does not answer"
_FULL: Final = "has no room"
_CUT_OFF: Final = "is cut off from its group"


class BrokerMoves:
    """For the control thread, except `probes`, which any thread may read.

    ``link`` is the connection to the broker; None while there is none. ``cut_off``: the
    broker says that it is cut off from its group.
    """

    def __init__(
        self,
        brokers: BrokerPlaces,
        new_link: Callable[[str], BrokerLink],
        poller: select.poll,
    ) -> None:
        """``new_link`` makes an unconnected link to a broker."""
        self.link: BrokerLink | None = None
        self.cut_off = False
        self._brokers = brokers
        self._poller = poller
        self._choice = BrokerChoice(brokers.given, random.SystemRandom())
        self._search = BrokerSearch(self._choice, new_link, poller)
        self._lost: str | None = None  # why the client leaves the broker, if it does
        # The broker that was left last, and the reason, until there is another one.
        self._left: tuple[str, str] | None = None
        self._said_none = False
        self._full: set[str] = (
            set()
        )  # brokers without room, while there is none with some
        self.probes = ClockProbes(shared=False)
        if not self._choice.several:
            self.link = new_link(brokers.current.name)
            self.link.register(poller)
            self.probes = self.link.probes

    @property
    def shown(self) -> str:
        """The broker, or the brokers that are tried, for people."""
        return self._brokers.shown if self.link is None else self.link.where

    @property
    def leaving(self) -> bool:
        """Whether the client is about to leave the broker."""
        return self._lost is not None

    # Messages of brokers

    def accepted(self, update: Accepted) -> None:
        """The broker has registered this client."""
        self.learn(update.reply.brokers)
        self._full.clear()
        if self._left is not None:
            (before, why), self._left = self._left, None
            _log.warning(
                "the broker at %s %s; moved to the one at %s", before, why, self.shown
            )
        elif update.again:
            _log.info("registered again with the broker at %s", self.shown)

    def learn(self, brokers: Sequence[str]) -> None:
        """The broker has named all brokers of its group. Invalid addresses are left out."""
        self._choice.learn([broker for broker in brokers if is_address(broker)])
        self._brokers.forget_others(self._choice.known)

    def lost(self, update: BrokerLost, *, silent: bool) -> None:
        """The broker ends, or has sent nothing for a lease. If it is not ``silent``, it was
        not asked: this process stood still."""
        why = _FAREWELL if update.farewell else _SILENT
        if self._choice.several and (update.farewell or silent):
            self._lost = why
        else:
            _log.warning(
                "the broker at %s %s; trying to register again", self.shown, why
            )

    def refused(self, update: Rejected) -> bool:
        """The broker refused this client. True: it has no room, and another broker may have
        some."""
        if self.link is None or update.ended or update.code != TOO_MANY:
            return False
        self._full.add(self.link.name)
        if self._full.issuperset(self._choice.known):
            return False
        self._lost = _FULL
        return True

    # To be called in each turn

    def is_connected(self) -> bool:
        """Whether there is a connection to a broker, or to the only one."""
        link = self.link
        return link is not None and (link.look() or not self._choice.several)

    def look(self, session: ClientSession, now: float) -> None:
        """Leave the broker, or look for a better one, if there is a reason."""
        link = self.link
        if session.next_deadline() is None:
            self._search.end()
            return
        if not self._choice.several:
            return
        if link is None:
            self._choice.begin(now)
            return
        silent = session.is_silent(now)
        # All messages that had come before were read, perhaps a farewell.
        if self._lost is None and link.was_connected and not link.connected:
            self._lost = _BROKEN
        if self._lost is None and silent and not session.registered:
            self._lost = _SILENT
        if self._lost is not None:
            self._left = self._left or (link.where, self._lost)
            self._close_link(session, now)
            self._choice.begin(now, left=link.name)
        elif silent or self.cut_off:
            if now >= self._choice.may_begin_at:
                self._choice.begin(now, stays_at=link.name)
        elif self._choice.searching:
            self._search.end()

    def turn(self, session: ClientSession, now: float) -> bool:
        """Whether this client has moved to another broker, and must register there."""
        taken = self._search.turn()
        if taken is None:
            none = self._choice.passes >= _PASSES_SAID and self.link is None
            if none and not self._said_none:
                self._said_none = True
                _log.warning("no broker of %s answers; trying on", self._brokers.shown)
            return False
        if self.link is not None:
            why = _CUT_OFF if self.cut_off else _SILENT
            self._left = (self.link.where, why)
            self._close_link(session, now)
        self.link = taken
        self.probes = taken.probes
        self.cut_off = False
        self._said_none = False
        self._brokers.current = taken.place
        session.left(now)
        return True

    def why_none(self) -> str | None:
        """The reason why no broker can be used, also later; None: one may be."""
        refusals = self._search.refusals
        if self.link is not None or not refusals:
            return None
        if not refusals.keys() >= set(self._choice.known):
            return None
        return "; ".join(dict.fromkeys(refusals.values()))

    def has_news(self) -> bool:
        """Whether there is work before a wait for the descriptors."""
        link = self.link
        return (link is not None and link.has_news()) or self._search.has_news()

    def due_s(self, session: ClientSession, now: float) -> float | None:
        """Seconds until the next turn, even if nothing arrives."""
        due_s = self._search.due_s(now)
        if self.link is None:
            return due_s
        due_s = earliest(due_s, self.link.due_s(now))
        if self._choice.several and not self._choice.searching:
            at = now if self.cut_off else session.silent_at
            if at is not None:
                due_s = earliest(due_s, max(at, self._choice.may_begin_at) - now)
        return due_s

    def close(self) -> None:
        """End all connections."""
        self._search.end()
        if self.link is not None:
            self.link.close(self._poller)
            self.link = None

    def _close_link(self, session: ClientSession, now: float) -> None:
        assert self.link is not None
        self.link.close(self._poller)
        self.link = None
        self._lost = None
        session.left(now)

"""Asks several brokers for their number of clients, and finds the one to register with."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable

from pubsub_common.client.broker_choice import Ask, BrokerChoice, Drop, Step, Take
from pubsub_common.client.broker_link import BrokerLink
from pubsub_common.earliest import earliest
from pubsub_common.protocol.messages import Hello, HelloReply

_log = logging.getLogger(__name__)


class BrokerSearch:
    """Connections to the asked brokers, at most two at a time. For one thread.

    ``refusals`` are the permanent reasons why brokers cannot be used, by broker.
    """

    def __init__(
        self,
        choice: BrokerChoice,
        new_link: Callable[[str], BrokerLink],
        poller: select.poll,
    ) -> None:
        """``new_link`` makes an unconnected link to a broker."""
        self.refusals: dict[str, str] = {}
        self._choice = choice
        self._new_link = new_link
        self._poller = poller
        self._links: dict[str, BrokerLink] = {}
        self._waits: set[str] = set()  # brokers that were sent a request

    def turn(self) -> BrokerLink | None:
        """Do the work that is due. Returns the connection to the chosen broker, if there is
        one, which then belongs to the caller."""
        if not self._choice.searching:
            return None
        for name, link in list(self._links.items()):
            self._serve(name, link)
        return self._perform(self._choice.tick(time.monotonic()))

    def end(self) -> None:
        """End the search."""
        self._perform(self._choice.end())

    def has_news(self) -> bool:
        """Whether there is work before a wait for the descriptors."""
        return any(link.has_news() for link in self._links.values())

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `turn`, even if nothing arrives."""
        deadline = self._choice.next_deadline()
        due_s = None if deadline is None else deadline - now
        for link in self._links.values():
            due_s = earliest(due_s, link.due_s(now))
        return due_s

    def _serve(self, name: str, link: BrokerLink) -> None:
        link.follow()
        for diagnosis in link.failed_handshakes(registered=False):
            _log.info("%s", diagnosis.text)
            if diagnosis.final:
                self.refusals[name] = diagnosis.text
                self._close(name)
                self._choice.failed(name, time.monotonic())
                return
        if not link.look():
            self._waits.discard(name)
        elif name not in self._waits and link.socket.send(Hello(id=0)):
            self._waits.add(name)
            self._choice.reached(name, time.monotonic())
        while (received := link.socket.receive()) is not None:
            reply = received.reply
            if isinstance(reply, HelloReply):
                self.refusals.pop(name, None)
                now = time.monotonic()
                self._choice.heard(name, reply.clients, now, cut_off=reply.cut_off)

    def _perform(self, steps: list[Step]) -> BrokerLink | None:
        taken = None
        for step in steps:
            match step:
                case Ask(name):
                    link = self._links[name] = self._new_link(name)
                    link.register(self._poller)
                    link.connect()
                case Drop(name):
                    self._close(name)
                case Take(name):
                    self._waits.discard(name)
                    taken = self._links.pop(name)
        return taken

    def _close(self, name: str) -> None:
        self._waits.discard(name)
        link = self._links.pop(name, None)
        if link is not None:
            link.close(self._poller)

"""Who owns which topic, as far as it is beyond doubt. Pure.

A topic is owned by the strongest publisher that is registered, and of no other are events
to be delivered. While owners change nobody can say from outside who owns it when, for
whom: subscribers learn of it one after the other. So the harness writes down *tenures*,
times in which it is sure, and what lies between them is judged less strictly: by the
order, and by that nothing may come twice.

A tenure begins when every subscriber has had something of the owner that was published
after the last change. It ends before the next fault that may change the owner: at a time
for which every subscriber has then been seen to have had a later event of the owner. A
restarted broker must not change it (`docs/reliability.md`), so a tenure lasts meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from chaos_logs import PublisherLog, SubscriberLog

Range = tuple[int, int]


@dataclasses.dataclass(slots=True)
class Tenure:
    """``until_ns`` None: it lasts. ``to_the_end``: the owner disconnects, and is to be
    heard to its last event. ``told``: subscribers may have heard of changes later than
    ``from_ns``, since nobody could see what was still under way to them; then it begins,
    for each, with the last such word."""

    topic: str
    session: int
    from_ns: int
    told: bool
    until_ns: int | None = None
    to_the_end: bool = False

    def begins_for(self, subscriber: SubscriberLog) -> int:
        """From when on it is certain for this subscriber."""
        begin_ns = self.from_ns
        if self.told:
            words = (
                at_ns
                for at_ns in subscriber.told_ns
                if self.until_ns is None or at_ns < self.until_ns
            )
            begin_ns = max((begin_ns, *words))
        if subscriber.ready_ns is not None:
            begin_ns = max(begin_ns, subscriber.ready_ns)
        return begin_ns


class Owners:
    """The tenures of all topics that are owned; the others are not named here."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = frozenset(topics)
        self.tenures: list[Tenure] = []

    def begin(self, owners: Mapping[str, int], now_ns: int, *, told: bool) -> None:
        """These sessions own these topics, beyond doubt. What goes on, goes on."""
        lasting = {t.topic for t in self.tenures if t.until_ns is None}
        for topic, session in owners.items():
            if topic not in lasting:
                self.tenures.append(Tenure(topic, session, now_ns, told))

    def end(
        self, topics: Collection[str], known_ns: int, *, leaving: bool = False
    ) -> None:
        """Owners of ``topics`` may change from here on. What they had published by
        ``known_ns`` all subscribers have had; if they are ``leaving`` in good order, they
        will have all."""
        for tenure in self.tenures:
            if tenure.topic in topics and tenure.until_ns is None:
                tenure.until_ns = known_ns
                tenure.to_the_end = leaving

    def due(
        self, publisher: PublisherLog, topic: str, subscriber: SubscriberLog
    ) -> list[Range]:
        """What of a stream a subscriber must account for."""
        ranges = []
        for tenure in self._of(topic):
            if tenure.session != publisher.session or subscriber.ready_ns is None:
                continue
            begin_ns = tenure.begins_for(subscriber)
            first = publisher.first_since(topic, begin_ns)
            joined = subscriber.ready_ns > tenure.from_ns
            if subscriber.history and joined and first <= publisher.last(topic):
                first = 0
            last = publisher.last(topic)
            if tenure.until_ns is not None and not tenure.to_the_end:
                last = publisher.last_before(topic, tenure.until_ns)
            if first <= last:
                ranges.append((first, last))
        return ranges

    def forbidden(
        self, publisher: PublisherLog, topic: str, subscriber: SubscriberLog
    ) -> list[Range]:
        """What of a stream it must not be given, nor told to be lost: what was published
        while another one owned the topic."""
        ranges = []
        for tenure in self._of(topic):
            if tenure.session == publisher.session or subscriber.ready_ns is None:
                continue
            first = publisher.first_since(topic, tenure.begins_for(subscriber))
            last = publisher.last(topic)
            if tenure.until_ns is not None:
                last = publisher.last_before(topic, tenure.until_ns)
            if first <= last:
                ranges.append((first, last))
        return ranges

    def owned(self, publisher: PublisherLog, topic: str) -> bool:
        """Whether this publisher ever owned the topic, beyond doubt."""
        return any(t.session == publisher.session for t in self._of(topic))

    def _of(self, topic: str) -> Iterator[Tenure]:
        return (tenure for tenure in self.tenures if tenure.topic == topic)

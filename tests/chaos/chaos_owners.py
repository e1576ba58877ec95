"""The certain owners of topics. Pure.

The strongest registered publisher owns a topic, and no events of other publishers may
be delivered. While owners change, an observer cannot know the owner for each
subscriber: they learn of it one after the other. So the harness records *tenures*,
times with a certain owner. The times between them are judged less strictly: by the
order, and by the absence of duplicates.

A tenure begins when every subscriber has received an event that the owner published
after the last change. It ends before the next fault that may change the owner: at a
time for which every subscriber has then received a later event of the owner. A
restarted broker must not change the owner (`docs/reliability.md`), so a tenure
continues meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from chaos_logs import PublisherLog, SubscriberLog

Range = tuple[int, int]


@dataclasses.dataclass(slots=True)
class Tenure:
    """``until_ns`` None: it continues. ``to_the_end``: the owner disconnects, and must
    be received to its last event. ``told``: subscribers may have learned of changes
    later than ``from_ns``, as messages under way cannot be observed; then it begins,
    for each, with the last of these messages."""

    topic: str
    session: int
    from_ns: int
    told: bool
    until_ns: int | None = None
    to_the_end: bool = False

    def begins_for(self, subscriber: SubscriberLog) -> int:
        """The time from which it is certain for this subscriber."""
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
    """The tenures of all owned topics; others are missing here."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = frozenset(topics)
        self.tenures: list[Tenure] = []

    def begin(self, owners: Mapping[str, int], now_ns: int, *, told: bool) -> None:
        """These sessions certainly own these topics. Continuing tenures continue."""
        lasting = {t.topic for t in self.tenures if t.until_ns is None}
        for topic, session in owners.items():
            if topic not in lasting:
                self.tenures.append(Tenure(topic, session, now_ns, told))

    def end(
        self, topics: Collection[str], known_ns: int, *, leaving: bool = False
    ) -> None:
        """Owners of ``topics`` may change from here on. All subscribers have the events
        that they had published by ``known_ns``; if they are ``leaving`` normally, they
        will get all events."""
        for tenure in self.tenures:
            if tenure.topic in topics and tenure.until_ns is None:
                tenure.until_ns = known_ns
                tenure.to_the_end = leaving

    def due(
        self, publisher: PublisherLog, topic: str, subscriber: SubscriberLog
    ) -> list[Range]:
        """The part of a stream that a subscriber must account for."""
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
        """The part of a stream that must be neither delivered nor reported lost:
        published while another publisher owned the topic."""
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
        """Whether this publisher ever certainly owned the topic."""
        return any(t.session == publisher.session for t in self._of(topic))

    def _of(self, topic: str) -> Iterator[Tenure]:
        return (tenure for tenure in self.tenures if tenure.topic == topic)

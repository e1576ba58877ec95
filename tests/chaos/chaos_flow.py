"""Whether events flow: everybody hears everybody, and of an owned topic the owner. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from chaos_parts import Publisher, Subscriber


class Flow:
    """Who has not heard yet what was published since ``since_ns``.

    It needs the session of each publisher. ``owned`` are topics of which only the
    strongest publisher is heard.
    """

    def __init__(
        self,
        publishers: Sequence[Publisher],
        subscribers: Sequence[Subscriber],
        owned: Collection[str],
        since_ns: int,
    ) -> None:
        self._since_ns = since_ns
        self._subscribers = subscribers
        self._received = [
            (pub, topic)
            for pub in publishers
            for topic in pub.options["topics"]
            if topic not in owned or strongest_on([topic], pub, publishers)
        ]
        self.owners = {
            topic: pub.log.session for pub, topic in self._received if topic in owned
        }

    def silent(self) -> list[str]:
        """What is still to be heard, in words."""
        return [
            f"{sub.process.name} hears {topic} of {pub.process.name}"
            for sub in self._subscribers
            for pub, topic in self._received
            if not self._hears(sub, pub, topic)
        ]

    def _hears(self, subscriber: Subscriber, publisher: Publisher, topic: str) -> bool:
        number = publisher.log.first_since(topic, self._since_ns)
        last = subscriber.log.last((publisher.log.session, topic))
        # Which may be more than the publisher's log tells yet, but then too soon.
        return number <= min(last, publisher.log.last(topic))


def strongest_on(
    topics: Collection[str], publisher: Publisher | None, among: Iterable[Publisher]
) -> set[str]:
    """The topics of which nobody is stronger than this publisher; without one, all."""
    if publisher is None:
        return set(topics)
    ours, *others = (pub.options["more"]["strengths"] for pub in (publisher, *among))
    return {
        topic
        for topic in topics
        if all(ours[topic] >= strengths[topic] for strengths in others)
    }

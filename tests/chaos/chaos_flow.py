"""Whether events flow: every subscriber receives from every publisher, and on an owned
topic from its owner. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from chaos_parts import Publisher, Subscriber


class Flow:
    """The subscribers that have not received events published after ``since_ns`` yet.

    It needs the session of each publisher. On the topics in ``owned`` only the
    strongest publisher counts.
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
        """The missing pairs, in words."""
        return [
            f"{sub.process.name} hears {topic} of {pub.process.name}"
            for sub in self._subscribers
            for pub, topic in self._received
            if sub.log.wants(topic) and not self._hears(sub, pub, topic)
        ]

    def _hears(self, subscriber: Subscriber, publisher: Publisher, topic: str) -> bool:
        number = publisher.log.first_since(topic, self._since_ns)
        last = subscriber.log.last((publisher.log.session, topic))
        # This may be more than the publisher's log has yet, but then it is too early.
        return number <= min(last, publisher.log.last(topic))


def strongest_on(
    topics: Collection[str], publisher: Publisher | None, among: Iterable[Publisher]
) -> set[str]:
    """The topics on which no publisher is stronger than this one; without one, all."""
    if publisher is None:
        return set(topics)
    ours, *others = (pub.options["more"]["strengths"] for pub in (publisher, *among))
    return {
        topic
        for topic in topics
        if all(ours[topic] >= strengths[topic] for strengths in others)
    }

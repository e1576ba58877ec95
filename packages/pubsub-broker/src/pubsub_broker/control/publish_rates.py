"""The rates of a publisher, from the counts in its heartbeats."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from pubsub_common.protocol import numbers

# A rate is measured over this many heartbeats. With one, the rate of an event every few
# seconds would alternate between two values.
_SPANS: Final = 3


class PublishRates:
    """The counts of one publisher, and their recent growth."""

    __slots__ = ("_all_known", "_at", "_counts", "_spans")

    def __init__(self, since: float | None) -> None:
        """``since`` is when it began to publish; None: before it registered here."""
        self._at = since
        self._all_known = True  # a topic that it does not report has had no event
        self._counts: dict[str, int] = {}
        self._spans: deque[tuple[float, dict[str, int]]] = deque(maxlen=_SPANS)

    def registered_again(self, topics: Iterable[str]) -> None:
        """The publisher registered again, with these topics: its next heartbeat has the
        counts of all of them."""
        self._counts = _of(topics, self._counts)
        self._all_known = False

    def update(
        self, counts: Mapping[str, int], topics: Iterable[str], now: float
    ) -> None:
        """A heartbeat has new counts of some of the publisher's ``topics``. Counts of
        other topics are ignored, as they would be unlimited."""
        counts = _of(topics, counts)
        known = self._counts
        if self._at is not None and now > self._at:
            grown = {}
            for topic, count in counts.items():
                before = known.get(topic, 0 if self._all_known else count)
                if count > before:
                    grown[topic] = count - before
            self._spans.append((now - self._at, grown))
        known.update(counts)
        self._at = now
        self._all_known = True

    def rates(self) -> dict[str, float] | None:
        """Events per second of the topics that have any; None while unknown."""
        if not self._spans:
            return None
        seconds = sum(span for span, _ in self._spans)
        total: dict[str, int] = {}
        for _, grown in self._spans:
            for topic, count in grown.items():
                total[topic] = total.get(topic, 0) + count
        most = float(numbers.LIMIT)  # the interval between heartbeats may be zero
        return {
            topic: min(round(count / seconds, 3), most)
            for topic, count in total.items()
        }


def _of(topics: Iterable[str], counts: Mapping[str, int]) -> dict[str, int]:
    if not counts:
        return {}
    return {topic: counts[topic] for topic in topics if topic in counts}

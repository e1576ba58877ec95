"""Which publishers the user was told are there."""

from __future__ import annotations

from collections.abc import Iterable

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_subscriber.streams.effects import PublisherJoined, PublisherLeft


class PresentPublishers:
    """Tells of a publisher once when it joins and once when it leaves, whatever the broker
    repeats."""

    def __init__(self) -> None:
        self._present: dict[int, PublisherInfo] = {}

    def replace(
        self, publishers: Iterable[PublisherInfo]
    ) -> list[PublisherJoined | PublisherLeft]:
        """These are there, and no others."""
        there = {info.session: info for info in publishers}
        return self.change(there.values(), self._present.keys() - there.keys())

    def change(
        self, joined: Iterable[PublisherInfo], left: Iterable[int]
    ) -> list[PublisherJoined | PublisherLeft]:
        """Some have joined, and sessions have left. One that is named in both is back."""
        news: list[PublisherJoined | PublisherLeft] = []
        for session in tuple(left):
            info = self._present.pop(session, None)
            if info is not None:
                news.append(PublisherLeft(info))
        for info in {info.session: info for info in joined}.values():
            if self._present.get(info.session) != info:
                self._present[info.session] = info
                news.append(PublisherJoined(info))
        return news

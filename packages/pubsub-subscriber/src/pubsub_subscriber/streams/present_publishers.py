"""The publishers that were reported to the user."""

from __future__ import annotations

from collections.abc import Iterable

from pubsub_common.protocol.messages import PublisherInfo
from pubsub_subscriber.streams.effects import PublisherJoined, PublisherLeft


class PresentPublishers:
    """Reports a publisher once when it joins and once when it leaves, also if the broker
    repeats it."""

    def __init__(self) -> None:
        self._present: dict[int, PublisherInfo] = {}

    def replace(
        self, publishers: Iterable[PublisherInfo]
    ) -> list[PublisherJoined | PublisherLeft]:
        """The full list of publishers."""
        there = {info.session: info for info in publishers}
        return self.change(there.values(), self._present.keys() - there.keys())

    def change(
        self, joined: Iterable[PublisherInfo], left: Iterable[int]
    ) -> list[PublisherJoined | PublisherLeft]:
        """Publishers have joined, and sessions have left. A session in both is back."""
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

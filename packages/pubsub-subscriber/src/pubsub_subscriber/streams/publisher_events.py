"""Tells the user which publishers join and leave."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pubsub_common.protocol.messages import PublisherInfo


class PublisherEvents:
    """Calls ``notify`` with a publisher and True when it joins, False when it leaves: once
    each, whatever the broker repeats."""

    def __init__(self, notify: Callable[[PublisherInfo, bool], None] | None) -> None:
        self._notify = notify
        self._present: dict[int, PublisherInfo] = {}

    def replace(self, publishers: Iterable[PublisherInfo]) -> None:
        """These are there, and no others."""
        there = {info.session: info for info in publishers}
        self.change(there.values(), self._present.keys() - there.keys())

    def change(self, joined: Iterable[PublisherInfo], left: Iterable[int]) -> None:
        """Some have joined, and sessions have left. One that is named in both is back."""
        if self._notify is None:
            return
        there = {info.session: info for info in joined}
        for session in tuple(left):
            info = self._present.pop(session, None)
            if info is not None:
                self._notify(info, False)
        for session, info in there.items():
            if self._present.get(session) != info:
                self._present[session] = info
                self._notify(info, True)

"""Asks all brokers of a group, since only the own broker of a client knows all about
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from pubsub_broker.monitoring.group_view import joined, others
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Status

# In parallel: each request takes open files, and most brokers answer soon.
_AT_ONCE: Final = 8


class Answer(NamedTuple):
    """The content to show. ``asked`` are the reports of the other brokers, if they were
    asked, by control address; None for one that did not answer. ``troubles`` has the
    reasons."""

    status: Status
    asked: Mapping[str, Status | None] | None = None
    troubles: Sequence[str] = ()


def ask_group(status: Status, ask_at: Callable[[str], Status]) -> Answer:
    """The report of one broker, completed with the clients in the reports of the other
    brokers of its group. ``ask_at`` asks the broker at an address, and raises
    `PubSubError` without an answer; threads call it."""
    from concurrent.futures import ThreadPoolExecutor

    def answer(place: str) -> Status | str:
        try:
            return ask_at(place)
        except PubSubError as error:
            return f"{place}: {error}"

    places = others(status)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = dict(zip(places, threads.map(answer, places), strict=True))
    reports = {
        place: each for place, each in answers.items() if isinstance(each, Status)
    }
    return Answer(
        joined(status, reports),
        {place: reports.get(place) for place in places},
        [each for each in answers.values() if isinstance(each, str)],
    )

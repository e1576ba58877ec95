"""Asks all brokers of a group, since each knows all of its own clients alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from pubsub_broker.monitoring.group_view import joined, others
from pubsub_common.errors import PubSubError
from pubsub_common.protocol.messages import Status

# At once: each takes open files, and most answer soon.
_AT_ONCE: Final = 8


class Answer(NamedTuple):
    """What there is to show. ``asked`` are the reports of the other brokers by their control
    addresses, None where one did not answer, if they were asked; ``troubles`` says why."""

    status: Status
    asked: Mapping[str, Status | None] | None = None
    troubles: Sequence[str] = ()


def ask_group(status: Status, ask_at: Callable[[str], Status]) -> Answer:
    """The report of one broker, completed by what the others of its group tell of their own
    clients. ``ask_at`` asks the broker at an address, and raises `PubSubError` where
    there is no answer; threads call it."""
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

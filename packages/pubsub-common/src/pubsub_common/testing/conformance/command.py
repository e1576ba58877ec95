"""The command line of the client that is tried, with placeholders in its words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

TOPICS: Final = "{topics}"


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What a client is to do in a scenario. ``count`` and ``interval_s`` are a publisher's:
    so many events on each topic, one every so many seconds."""

    host: str
    port: int
    topics: tuple[str, ...]
    count: int
    interval_s: float


def fill_in(words: Sequence[str], run: Run) -> list[str]:
    """The command line for one run.

    A word that is ``{topics}`` alone becomes one word for each topic, and an option before
    it is repeated with each; in a longer word ``{topics}`` stands for all, with commas. The
    other placeholders stand for a number or a host, anywhere.
    """
    values = {
        "{host}": run.host,
        "{port}": str(run.port),
        "{count}": str(run.count),
        "{total}": str(run.count * len(run.topics)),
        "{interval}": f"{run.interval_s:g}",
    }
    filled: list[str] = []
    for word in words:
        if word != TOPICS:
            filled.append(_replaced(word, {**values, TOPICS: ",".join(run.topics)}))
        elif filled and filled[-1].startswith("-"):
            option = filled.pop()
            for topic in run.topics:
                filled += (option, topic)
        else:
            filled += run.topics
    return filled


def _replaced(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word

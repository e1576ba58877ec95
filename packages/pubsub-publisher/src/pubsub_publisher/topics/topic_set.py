"""The topics of a publisher, and the state of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from pubsub_common import validation
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import MAX_STRENGTH
from pubsub_common.protocol.wildcards import validate_publisher_topics
from pubsub_common.text.name_list import name_list
from pubsub_publisher.config import check_strengths
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_state import TopicState

Strengths = Mapping[str, int] | int | None


class TopicSet:
    """``names`` are the topics at present, and ``strengths`` the ownership strengths of those
    that have one. ``opened`` are the states of the topics that take events: a new topic takes
    none until its subscribers are connected. ``states`` also keeps the topics that were
    removed: one that is added again continues with its next number."""

    def __init__(
        self,
        topics: Iterable[str],
        strengths: Strengths,
        new_history: Callable[[], History | None],
    ) -> None:
        """``new_history`` makes the history of one topic.

        Raises:
            ConfigError: A topic or strength is not valid.
        """
        self._new_history = new_history
        self.states: dict[str, TopicState] = {}
        # Changed in place: threads that publish look up topics in it.
        self.opened: dict[str, TopicState] = {}
        names = validate_publisher_topics(topics)
        self._replace(names, _strengths(strengths, names))

    def add(self, topics: Iterable[str], strengths: Strengths) -> None:
        """Add these topics.

        Raises:
            ConfigError: A topic or strength is not valid.
        """
        added_names = validation.names("topics", topics)
        names = validate_publisher_topics((*self.names, *added_names))
        added = _strengths(strengths, names[len(self.names) :])
        self._replace(names, {**self.strengths, **added})

    def excluding(self, topics: Iterable[str]) -> tuple[str, ...]:
        """The topics of this set without these.

        Raises:
            ConfigError: one of these is not in the set.
        """
        leaving = set(validate_publisher_topics(validation.names("topics", topics)))
        for topic in leaving - set(self.names):
            raise unknown_topic(topic, self.names)
        return tuple(name for name in self.names if name not in leaving)

    def retain(self, names: tuple[str, ...]) -> None:
        """Remove all other topics."""
        kept = {name: each for name, each in self.strengths.items() if name in names}
        self._replace(names, kept)

    def open(self, name: str) -> None:
        """Let this topic take events, if it is in this set."""
        if name in self.names:
            self.opened[name] = self.states[name]

    @property
    def only(self) -> str | None:
        """The topic of payloads that name none; None unless there is exactly one topic."""
        return self.names[0] if len(self.names) == 1 else None

    def published(self) -> dict[str, int]:
        """Number of events of each topic that have left."""
        states = self.states
        return {name: states[name].next_sequence for name in self.names}

    def next_numbers(self) -> dict[str, int]:
        """The number of the next event of each topic, also of removed ones."""
        return {name: state.next_number for name, state in self.states.items()}

    def raise_unknown(self, topic: str) -> NoReturn:
        """Raises:
        ConfigError: Always. It says the reason: the topic is not valid, or not in this
            set.
        """
        validate_publisher_topics([topic])
        raise unknown_topic(topic, self.names)

    def _replace(self, names: tuple[str, ...], strengths: dict[str, int]) -> None:
        for name in names:
            if name not in self.states:
                self.states[name] = TopicState(name, self._new_history())
        self.names, self.strengths = names, strengths
        for name in self.opened.keys() - set(names):
            del self.opened[name]


def unknown_topic(topic: str, ours: Iterable[str]) -> ConfigError:
    """The error for a topic that is not one of ``ours``."""
    from difflib import get_close_matches  # for errors alone: roles start fast

    known = list(ours)
    close = get_close_matches(topic, known, 1)
    return ConfigError(
        f"{topic!r} is not one of this publisher's topics: {name_list(known)}"
        + (f"; did you mean {close[0]!r}?" if close else "")
    )


def _strengths(given: Strengths, topics: tuple[str, ...]) -> dict[str, int]:
    """The strength of each topic that has one.

    Raises:
        ConfigError: A topic is not one of ``topics``, or a strength is not valid.
    """
    check_strengths(given)
    if given is None:
        return {}
    if isinstance(given, int):
        given = dict.fromkeys(topics, given)
    for topic, strength in given.items():
        if topic not in topics:
            raise unknown_topic(topic, topics)
        validation.in_range("strengths", strength, 0, MAX_STRENGTH)
    return dict(given)

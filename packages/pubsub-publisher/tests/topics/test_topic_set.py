"""Which topics a publisher has."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_publisher.topics.history import History
from pubsub_publisher.topics.topic_set import Strengths, TopicSet


def book(*topics: str, strengths: Strengths = None) -> TopicSet:
    return TopicSet(topics, strengths, lambda: None)


def test_strengths_are_of_all_topics_or_by_topic() -> None:
    assert book("A", "B").strengths == {}
    assert book("A", "B", strengths=3).strengths == {"A": 3, "B": 3}
    assert book("A", "B", strengths={"B": 0}).strengths == {"B": 0}


@pytest.mark.parametrize("strengths", [-1, 2**31, "3", {"A": -1}, {"C": 1}])
def test_a_strength_that_cannot_be_is_refused(strengths: Strengths) -> None:
    with pytest.raises(ConfigError):
        book("A", "B", strengths=strengths)


def test_one_strength_for_added_topics_is_not_for_the_others() -> None:
    topics = book("A", strengths=1)

    topics.add(["B", "A"], 2)

    assert topics.names == ("A", "B")
    assert topics.strengths == {"A": 1, "B": 2}


def test_a_topic_that_left_is_remembered_without_its_strength() -> None:
    topics = book("A", "B", strengths=1)
    state = topics.states["B"]
    state.commit(0, [(1, b"")])

    topics.retain(topics.excluding(["B"]))

    assert (topics.names, topics.strengths) == (("A",), {"A": 1})
    assert topics.published() == {"A": 0}
    assert topics.next_numbers() == {"A": 0, "B": 1}
    topics.add(["B"], None)
    assert topics.states["B"] is state


def test_a_topic_that_is_not_there_cannot_leave() -> None:
    topics = book("A")

    with pytest.raises(ConfigError, match="'B' is not one of"):
        topics.excluding(["B"])
    assert topics.excluding(["A"]) == ()
    assert topics.names == ("A",)


def test_a_topic_takes_events_when_it_is_opened() -> None:
    topics = book("A")
    opened = topics.opened
    assert opened == {}

    topics.open("A")
    topics.add(["B"], None)
    assert opened == {"A": topics.states["A"]}
    topics.open("B")
    topics.retain(("B",))
    topics.open("A")

    assert topics.opened is opened  # threads that publish look up topics in it
    assert opened == {"B": topics.states["B"]}
    assert list(topics.states) == ["A", "B"]


def test_an_error_changes_nothing() -> None:
    topics = book("A", strengths=1)

    for added, strengths in ((["B\n"], None), (["B"], -1)):
        with pytest.raises(ConfigError):
            topics.add(added, strengths)

    assert (topics.names, topics.strengths) == (("A",), {"A": 1})
    assert list(topics.states) == ["A"]


def test_only_a_single_topic_need_not_be_named() -> None:
    assert book().only is None
    assert book("A").only == "A"
    assert book("A", "B").only is None


def test_a_similar_topic_is_suggested() -> None:
    with pytest.raises(ConfigError, match=r"'wether'.*did you mean 'weather'\?"):
        book("weather", "news").raise_unknown("wether")


def test_each_topic_has_a_history_of_its_own() -> None:
    topics = TopicSet(["A", "B"], None, lambda: History(10, 100))

    topics.states["A"].commit(0, [(1, b"x")])

    assert [len(state.history or ()) for state in topics.states.values()] == [1, 0]


def test_what_is_wrong_with_an_event_is_said() -> None:
    topics = book("A")

    with pytest.raises(ConfigError, match="'B' is not one of"):
        topics.raise_unknown("B")
    with pytest.raises(ConfigError, match="control character"):
        topics.raise_unknown("B\n")


def test_a_text_is_no_list_of_topics() -> None:
    topics = book("A")

    with pytest.raises(ConfigError, match="topics is a list of texts, not a text"):
        topics.add("news", None)
    with pytest.raises(ConfigError, match="topics is a list of texts, not a text"):
        topics.excluding("A")
    assert topics.names == ("A",)

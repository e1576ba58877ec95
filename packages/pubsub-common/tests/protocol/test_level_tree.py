"""Trees of levels say what `matches` and `covers` say of one pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.level_columns import FilterColumns, TopicColumns
from pubsub_common.protocol.level_tree import LevelTree
from pubsub_common.protocol.matching import Subscriptions, matching_topics
from pubsub_common.protocol.wildcards import covers, is_filter, matches

LEVELS = st.sampled_from(["", "a", "b", "$x", "+", "#", "C#"])
PATHS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
SUBSCRIPTIONS = PATHS.filter(lambda path: path and "#" not in path.split("/")[:-1])
FILTERS = SUBSCRIPTIONS.filter(is_filter)
TOPICS = (
    st.lists(st.sampled_from(["", "a", "b", "$x", "C#"]), min_size=1, max_size=4)
    .map("/".join)
    .filter(bool)
)
SETS_OF_FILTERS = st.lists(FILTERS, max_size=10, unique=True)
SETS_OF_TOPICS = st.lists(TOPICS, max_size=20, unique=True)


@given(SETS_OF_FILTERS, SETS_OF_TOPICS)
def test_the_filters_of_some_topics(filters: list[str], topics: list[str]) -> None:
    columns = TopicColumns(topics)
    found = [
        (each, columns.chosen(mask))
        for each, mask in LevelTree(filters).matching(columns)
    ]

    expected = {
        each: [topic for topic in topics if matches(each, topic)] for each in filters
    }
    assert dict(found) == {each: some for each, some in expected.items() if some}
    assert len(found) == len(dict(found))


@given(SETS_OF_FILTERS, SETS_OF_TOPICS)
def test_the_topics_of_some_filters(filters: list[str], topics: list[str]) -> None:
    found = list(LevelTree(topics).matched_by(FilterColumns(filters)))

    assert sorted(found) == sorted(
        topic for topic in topics if any(matches(each, topic) for each in filters)
    )


@given(SETS_OF_TOPICS, st.lists(SUBSCRIPTIONS, max_size=10))
def test_the_topics_that_many_subscriptions_match(
    topics: list[str], subscriptions: list[str]
) -> None:
    expected = [
        topic for topic in topics if any(matches(each, topic) for each in subscriptions)
    ]
    assert matching_topics(topics, subscriptions) == expected
    assert matching_topics(tuple(topics), tuple(subscriptions)) == expected


@given(st.lists(SUBSCRIPTIONS, max_size=10), st.lists(SUBSCRIPTIONS, max_size=10))
def test_the_subscriptions_that_others_cover(
    wide: list[str], narrow: list[str]
) -> None:
    mask = Subscriptions(wide).covers(narrow)

    assert [bool(mask >> place & 1) for place in range(len(narrow))] == [
        any(covers(each, name) for each in wide) for name in narrow
    ]


@given(st.lists(SUBSCRIPTIONS, max_size=8), st.data())
def test_what_is_discarded_is_gone(names: list[str], data: st.DataObject) -> None:
    tree = LevelTree(names)
    gone = data.draw(st.sets(st.sampled_from(names))) if names else set()
    for name in [*gone, *gone]:
        tree.discard(name)

    assert set(tree._root.names()) == set(names) - gone
    for name in names:
        tree.discard(name)
    assert tree.empty


def test_a_tree_has_no_more_nodes_than_levels_whatever_matches() -> None:
    """Of filters that differ in their wildcards only, each fits a part of the topics."""
    levels = range(10)
    filters = ["/".join("+a"[n >> bit & 1] for bit in levels) for n in range(1024)]
    topics = ["/".join("ba"[n >> bit & 1] for bit in levels) for n in range(1024)]
    columns = TopicColumns(topics)

    found = dict(LevelTree(filters).matching(columns))

    assert {each: mask.bit_count() for each, mask in found.items()} == {
        each: 2 ** each.count("+") for each in filters
    }

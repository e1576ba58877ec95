"""Who has which filters: the tree says what `matches` says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.protocol.filter_tree import FilterTree, matching_topics
from pubsub_common.protocol.wildcards import matches

LEVELS = st.sampled_from(["", "a", "b", "$x", "+", "#", "C#"])
PATHS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
SUBSCRIPTIONS = PATHS.filter(lambda path: path and "#" not in path.split("/")[:-1])
TOPICS = st.lists(
    st.sampled_from(["", "a", "b", "$x", "C#"]), min_size=1, max_size=4
).map("/".join)


@given(st.lists(SUBSCRIPTIONS, max_size=8), st.data())
def test_the_tree_finds_what_matches_one_by_one(
    subscriptions: list[str], data: st.DataObject
) -> None:
    tree: FilterTree[int] = FilterTree()
    for key, subscription in enumerate(subscriptions):
        tree.add(subscription, key)
    gone = set(data.draw(st.lists(st.integers(0, 7), max_size=8)))
    for key in gone & set(range(len(subscriptions))):
        tree.discard(subscriptions[key], key)
    topic = data.draw(TOPICS.filter(bool))

    assert sorted(tree.matching(topic)) == [
        key
        for key, subscription in enumerate(subscriptions)
        if key not in gone and matches(subscription, topic)
    ]
    found = tree.matcher().keys(topic)
    assert all(found)
    assert {key for keys in found for key in keys} == set(tree.matching(topic))


@given(st.lists(SUBSCRIPTIONS, max_size=8))
def test_an_empty_tree_keeps_nothing(subscriptions: list[str]) -> None:
    tree: FilterTree[int] = FilterTree()
    for key, subscription in enumerate(subscriptions):
        tree.add(subscription, key)
    for key, subscription in enumerate(subscriptions):
        tree.discard(subscription, key)
        tree.discard(subscription, key)

    assert not tree._root.below


@given(st.lists(TOPICS.filter(bool)), st.lists(SUBSCRIPTIONS))
def test_the_topics_that_many_subscriptions_match(
    topics: list[str], subscriptions: list[str]
) -> None:
    assert matching_topics(topics, subscriptions) == [
        topic for topic in topics if any(matches(each, topic) for each in subscriptions)
    ]


def test_filters_and_topics_that_look_alike_do_not_multiply() -> None:
    """A look at each filter for each topic would be 16 million here."""
    alike = [
        f"{number:012b}".replace("0", "a/").replace("1", "+/") for number in range(4096)
    ]
    filters = [f"{each}end" for each in alike]
    topics = [f"{'a/' * 12}{number}" for number in range(4000)]

    matcher = FilterTree.of(filters).matcher()

    assert not any(map(matcher.matches, topics))
    states = set()
    for topic in topics:
        state = matcher._start
        for name in topic.split("/"):
            states.add(id(state))
            state = state.following(name)
    assert len(states) == 13

"""Topic names: what may be one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pubsub_common.defaults import MAX_TOPIC_BYTES, MAX_TOPICS_PER_CLIENT
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.topics import validate_topic, validate_topics


def is_topic(text: str) -> bool:
    """The same rule in another form."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return False
    controls = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}
    return 1 <= size <= 255 and not controls & set(text)


@given(st.text(st.characters(), max_size=300))
@example("é" * 127)
@example("é" * 128)
@example("a\u2028b")
def test_a_topic_is_accepted_as_it_is_or_refused_by_the_rule(text: str) -> None:
    if is_topic(text):
        assert validate_topic(text) == text
    else:
        with pytest.raises(ConfigError):
            validate_topic(text)


@pytest.mark.parametrize("topic", ["A", " ", "a b", "a/b/c", "温度", "🙂", "é" * 127])
def test_spaces_slashes_and_other_scripts_are_fine(topic: str) -> None:
    assert validate_topic(topic) == topic


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("", "empty"),
        ("a\0", "control character"),
        ("a\nb", "control character"),
        ("\x7f", "control character"),
        ("\x85", "control character"),
        ("a" * 256, "256 bytes"),
        ("é" * 128, "256 bytes"),
        ("\ud800", "UTF-8"),
        (b"A", "bytes"),
        (1, "int"),
        (None, "NoneType"),
    ],
)
def test_a_refusal_says_why(topic: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        validate_topic(topic)


def test_the_limit_is_in_bytes() -> None:
    assert validate_topic("a" * MAX_TOPIC_BYTES)
    with pytest.raises(ConfigError):
        validate_topic("a" * (MAX_TOPIC_BYTES + 1))


@given(st.lists(st.sampled_from("ABCDE"), min_size=1))
def test_topics_keep_their_order_without_repetitions(topics: list[str]) -> None:
    valid = validate_topics(topics)

    assert set(valid) == set(topics)
    assert len(valid) == len(set(valid))
    assert list(valid) == sorted(set(topics), key=topics.index)


def test_no_topic_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        validate_topics([])


def test_one_text_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(ConfigError, match="list of topics"):
        validate_topics("ABC")


def test_one_bad_topic_spoils_the_list() -> None:
    with pytest.raises(ConfigError):
        validate_topics(["A", "B\n"])


def test_the_number_of_different_topics_is_limited() -> None:
    most = [str(number) for number in range(MAX_TOPICS_PER_CLIENT)]

    assert len(validate_topics([*most, *most])) == MAX_TOPICS_PER_CLIENT
    with pytest.raises(ConfigError, match="too many"):
        validate_topics([*most, "one more"])

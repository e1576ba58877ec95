"""Numbers of things."""

from __future__ import annotations

import pytest

from pubsub_common.text.counted import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events")]
)
def test_one_is_not_many(number: int, text: str) -> None:
    assert counted(number, "event") == text


def test_a_plural_may_be_another_word() -> None:
    assert counted(1, "reply", "replies") == "1 reply"
    assert counted(3, "reply", "replies") == "3 replies"


def test_thousands_may_be_grouped() -> None:
    assert counted(12_345, "event") == "12345 events"
    assert counted(12_345, "event", grouped=True) == "12,345 events"

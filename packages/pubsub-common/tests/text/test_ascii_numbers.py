"""Numbers of ASCII digits."""

from __future__ import annotations

import pytest

from pubsub_common.text.ascii_numbers import is_digits, real_number, whole_number

FOREIGN = ["\u0663", "1\u0663", "\uff11", "\u00b2", "1_0", "", "x", "\u00a01"]


@pytest.mark.parametrize("text", FOREIGN)
def test_other_digits_are_no_number(text: str) -> None:
    for read in (whole_number, real_number):
        with pytest.raises(ValueError, match=r"number|invalid|could not"):
            read(text)
    assert not is_digits(text)


def test_ascii_digits_are() -> None:
    assert whole_number(" 12 ") == 12
    assert whole_number("-3") == -3
    assert real_number("1.5e3") == 1500.0
    assert is_digits("007")
    assert not is_digits("-1")

"""Texts with named fields."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.text.template import compiled, field_names

FIELDS = {"count": lambda n: n, "half": lambda n: n / 2}


def filled(text: str, number: int) -> str:
    return compiled(text, FIELDS, "--template", of="a payload", example=0)(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n={count}", "n=7"),
        ("{count:>4}|{half:.2f}", "   7|3.50"),
        (r"{{{count}}}\t\\n", "{7}\t\\n"),
        ("", ""),
    ],
)
def test_fields_are_filled_in(text: str, expected: str) -> None:
    assert filled(text, 7) == expected


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as error:
        filled("{color}", 1)

    assert str(error.value) == (
        "--template: {color} is not a field of a payload; there are {count} {half}"
    )


@pytest.mark.parametrize("text", ["{", "{count:q}"])
def test_what_is_not_a_template_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--template: .* is not a format"):
        filled(text, 1)


def test_field_names() -> None:
    assert field_names("{a} {b:>3} {{c}}") == {"a", "b"}
    assert field_names("{") == set()


def test_a_field_that_is_too_wide_is_refused() -> None:
    assert len(filled("{count:9999}", 1)) == 9999
    with pytest.raises(ConfigError, match="is wider than 9999 characters"):
        filled("{count:10000}", 1)
    with pytest.raises(ConfigError, match="is wider than 9999 characters"):
        filled("{count:\N{ARABIC-INDIC DIGIT ONE}0000}", 1)

"""Text of strangers for terminals and logs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_common.text.printable import printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ä 漢 😀 = C:\\x1b", "plain text, ä 漢 😀 = C:\\x1b"),
        ("\x1b]0;name\x07", "\\x1b]0;name\\x07"),
        ("a\r\nbroker: forged", "a\\r\\nbroker: forged"),
        ("\x7f\x9b31m\x85", "\\x7f\\x9b31m\\x85"),
        ("one\u2028two\u2029three", "one\\u2028two\\u2029three"),
        ("x\u202eevil\u2066\u200f", "x\\u202eevil\\u2066\\u200f"),
        ("\U000e0041", "\\U000e0041"),
        ("\udc80", "\\udc80"),
    ],
)
def test_what_could_control_a_terminal_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_any_text_becomes_printable(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert printable(shown) == shown


@given(st.text())
def test_json_says_the_same(text: str) -> None:
    line = json.dumps([text], ensure_ascii=False)

    shown = printable_json(line)

    assert shown.isprintable()
    assert json.loads(shown) == [text]

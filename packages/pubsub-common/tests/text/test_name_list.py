"""Names in a line."""

from __future__ import annotations

from pubsub_common.text.name_list import name_list


def test_many_names_are_counted_and_each_is_shown() -> None:
    names = ["a\u2028b", "\x1b[2J", *map(str, range(30))]

    line = name_list(names)

    assert line.startswith(r"a\u2028b, \x1b[2J, 0, 1, ")
    assert line.endswith(", 17 and 12 more")
    assert line.isprintable()

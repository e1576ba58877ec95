"""One line for people, plain or as a terminal shows it."""

from __future__ import annotations

import time

import pytest

from pubsub_common.logs.text_line import LineStyle, style_for, text_line


@pytest.mark.parametrize(
    ("environment", "on_terminal", "style"),
    [
        ({"TERM": "xterm"}, False, LineStyle()),
        ({"TERM": "xterm"}, True, LineStyle(times=True, colours=True)),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, LineStyle(times=True, colours=True)),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, LineStyle(times=True)),
        ({"TERM": "dumb"}, True, LineStyle(times=True)),
        ({}, True, LineStyle(times=True)),
    ],
)
def test_a_terminal_has_times_and_colours_unless_they_are_unwanted(
    environment: dict[str, str], on_terminal: bool, style: LineStyle
) -> None:
    assert style_for(environment, on_terminal=on_terminal) == style


def test_a_line_has_the_time_of_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        style = LineStyle(times=True)
        assert text_line("p", "text", "INFO", style, 3661.5) == "01:01:01 p: text"
        assert text_line("p", "text", "INFO", style) == "p: text", "no record, no time"
        assert text_line("p", "text", "INFO", at_s=3661.5) == "p: text"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("level", "before"), [("INFO", ""), ("WARNING", "\x1b[33m"), ("ERROR", "\x1b[31m")]
)
def test_warnings_and_errors_have_a_colour(level: str, before: str) -> None:
    after = "\x1b[0m" if before else ""
    line = text_line("p", "a\x1b[2J", level, LineStyle(colours=True))

    assert line == f"{before}p: a\\x1b[2J{after}"

"""Writes one line of a log for people; on a terminal with the time and colours."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from pubsub_common.text.printable import cut, printable

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
# Terminals that show escape sequences as text.
_PLAIN_TERMINALS: Final = ("", "dumb")


class LineStyle(NamedTuple):
    """The parts of a line beside its text."""

    times: bool = False
    colours: bool = False


PLAIN: Final = LineStyle()


def style_for(environment: Mapping[str, str], *, on_terminal: bool) -> LineStyle:
    """Times on a terminal; colours, too, unless ``NO_COLOR`` is set (https://no-color.org)
    or the terminal has none."""
    colours = (
        on_terminal
        and not environment.get("NO_COLOR")
        and environment.get("TERM", "") not in _PLAIN_TERMINALS
    )
    return LineStyle(on_terminal, colours)


def text_line(
    program: str,
    message: str,
    level: str = "INFO",
    style: LineStyle = PLAIN,
    at_s: float | None = None,
) -> str:
    """``program: message`` on one line; control characters in the message are escaped.
    ``at_s`` is the time of a record in seconds since 1970; None: the line has no time."""
    line = f"{program}: {printable(cut(message))}"
    if style.colours and level in _COLOURS:
        line = f"{_COLOURS[level]}{line}{_RESET}"
    if not style.times or at_s is None:
        return line
    clock = time.strftime("%H:%M:%S", time.localtime(at_s))
    return f"{_DIM}{clock}{_RESET} {line}" if style.colours else f"{clock} {line}"

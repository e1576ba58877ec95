"""Parses usage texts into descriptions of their options.

The usage text is the one place where an option is described. docopt reads it to parse
a command line; files of settings and shell completion need to know more than docopt
tells: which options there are, and what kind of value each takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from pubsub_common.ascii_numbers import is_digits

# What stands for a value in the usage text tells what it is; other names mean text.
WHOLE_NUMBERS: Final = frozenset({"N", "PORT", "BYTES", "COUNT"})
NUMBERS: Final = frozenset({"SECONDS", "RATE"})

_OPTION: Final = re.compile(
    r"^ +(?:(?P<short>-\w)(?: [A-Z]+)?, )?(?P<long>--[a-z][\w-]*)"
    r"(?: (?P<value>[A-Z]+))?(?:  +(?P<text>\S.*))?$"
)
_DEFAULT: Final = re.compile(r"\s*\[default: ([^\]]*)\]")
_REPEATED: Final = re.compile(r"\[(--?[\w-]+)(?: [A-Z]+)?\]\.\.\.")


class OptionLine(NamedTuple):
    """One option of a usage text. ``value`` is what stands for its value; None: it is
    a flag. ``long`` and ``short`` have their dashes."""

    long: str
    short: str | None
    value: str | None
    text: str
    default: str | None
    repeated: bool

    @property
    def key(self) -> str:
        """The name without dashes."""
        return self.long[2:]


def option_lines(doc: str) -> list[OptionLine]:
    """The options of a usage text that have a long name, in its order."""
    repeated = set(_REPEATED.findall(doc))
    found: list[OptionLine] = []
    # An option's description goes on in indented lines, up to a blank line.
    blocks: list[tuple[re.Match[str], list[str]]] = []
    inside = False
    for line in doc.splitlines():
        if match := _OPTION.match(line):
            blocks.append((match, [match["text"] or ""]))
            inside = True
        elif inside and line.startswith("    "):
            blocks[-1][1].append(line.strip())
        else:
            inside = False
    for match, texts in blocks:
        text = " ".join(texts).strip()
        default = _DEFAULT.search(text)
        found.append(
            OptionLine(
                long=match["long"],
                short=match["short"],
                value=match["value"],
                text=_DEFAULT.sub("", text),
                default=default[1] if default else None,
                repeated=bool({match["long"], match["short"]} & repeated),
            )
        )
    return found


def commands(doc: str) -> dict[str, str]:
    """The other commands that a usage text lists, each with what it does."""
    for paragraph in doc.split("\n\n"):
        title, _, lines = paragraph.partition("\n")
        if "commands" in title and title.endswith(":"):
            found = (line.strip().partition(" ") for line in lines.split("\n"))
            return {name: text.strip() for name, _, text in found}
    return {}


def pattern(doc: str) -> str:
    """How the program is called, by its usage text: the first pattern in it."""
    lines = doc.partition("Usage:")[2].split("\n")
    return next((line.strip() for line in lines if line.strip()), "")


def without_defaults(doc: str) -> str:
    """The usage text of the same program with no defaults."""
    return _DEFAULT.sub("", doc)


def expand_digit_options(
    words: Iterable[str], lines: Iterable[OptionLine]
) -> list[str]:
    """``-0`` becomes ``--null``, where that is an option and not another one's value:
    docopt takes it for a number."""
    by_short = {line.short: line.long for line in lines if line.short}
    take_value = {
        name for line in lines if line.value for name in (line.long, line.short)
    }
    out: list[str] = []
    rest = False
    for word in words:
        rest = rest or word == "--"
        is_value = bool(out) and out[-1] in take_value
        if not rest and not is_value and is_digits(word[1:]) and word in by_short:
            word = by_short[word]
        out.append(word)
    return out

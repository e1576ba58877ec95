"""Parses usage texts into descriptions of their options.

The usage text is the one place where an option is described. docopt reads it to parse
a command line. Config files and shell completion need more than docopt returns: the list of
options, and the kind of value of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

# The placeholder of a value in the usage text determines its type; others mean text.
WHOLE_NUMBERS: Final = frozenset({"N", "PORT", "BYTES", "COUNT"})
NUMBERS: Final = frozenset({"SECONDS", "RATE"})

_OPTION: Final = re.compile(
    r"^ +(?:(?P<short>-\w)(?: [A-Z]+)?, )?(?P<long>--[a-z][\w-]*)"
    r"(?: (?P<value>[A-Z][A-Z/]*))?(?:  +(?P<text>\S.*))?$"
)
_DEFAULT: Final = re.compile(r"\s*\[default: ([^\]]*)\]")
_REPEATED: Final = re.compile(r" ?\[--?[a-z][\w-]* [A-Z]+\]\.\.\.")
_TITLE: Final = re.compile(r"[A-Z][^:]*:")
# In the description of an option that may be repeated.
_MORE: Final = "repeat for more"
# At the beginning of a description: the options without which this one has no effect.
_WITH: Final = re.compile(r"with (--?[a-z][\w-]*[^:]*): ")
# In a description: an option that contradicts this one.
_NOT_WITH: Final = re.compile(r"\bnot with (--?[a-z][\w-]*)")


class OptionLine(NamedTuple):
    """One option of a usage text. ``value`` is the placeholder of its value; None for a
    flag. ``long`` and ``short`` have their dashes."""

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

    @property
    def needed(self) -> tuple[tuple[str, str | None], ...]:
        """The options, with their dashes, of which this one needs one to have an effect;
        each with the value that it needs, or None for any."""
        found = _WITH.match(self.text)
        words = [each.split() for each in found[1].split(" or ")] if found else []
        return tuple((name, value[0] if value else None) for name, *value in words)

    @property
    def contradicted(self) -> tuple[str, ...]:
        """The options, with their dashes, that contradict this one."""
        return tuple(_NOT_WITH.findall(self.text))


class Section(NamedTuple):
    """A part of a usage text: lines below a title, or a paragraph without one."""

    title: str | None
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The title without the part in parentheses."""
        return (self.title or "").partition(" (")[0]


def summary(doc: str) -> str:
    """The first paragraph, on one line."""
    return " ".join(doc.strip().partition("\n\n")[0].split())


def sections(doc: str) -> list[Section]:
    """The parts of a usage text below its summary."""
    found = []
    for paragraph in doc.strip().split("\n\n")[1:]:
        first, *rest = paragraph.strip("\n").split("\n")
        if _TITLE.fullmatch(first):
            found.append(Section(first[:-1], tuple(rest)))
        else:
            found.append(Section(None, (first, *rest)))
    return found


def option_lines(doc: str) -> list[OptionLine]:
    """The options of a usage text that have a long name, in its order."""
    found: list[OptionLine] = []
    # The description of an option continues in indented lines, up to a blank line.
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
                repeated=_MORE in text,
            )
        )
    return found


def commands(doc: str) -> dict[str, str]:
    """The other commands that a usage text lists, each with its description."""
    for paragraph in doc.split("\n\n"):
        title, _, lines = paragraph.partition("\n")
        if "commands" in title and title.endswith(":"):
            found = (line.strip().partition(" ") for line in lines.split("\n"))
            return {name: text.strip() for name, _, text in found}
    return {}


def pattern(doc: str) -> str:
    """The first usage pattern of the program."""
    lines = doc.partition("Usage:")[2].split("\n")
    return next((line.strip() for line in lines if line.strip()), "")


def for_docopt(doc: str, lines: Sequence[OptionLine]) -> str:
    """What docopt needs of a usage text: its patterns, with the options that may be
    repeated, and a line for each option. docopt takes each line of prose that begins with
    a dash for an option."""
    patterns = doc.partition("Usage:")[2].partition("\n\n")[0]
    repeated = "".join(
        f" [{line.long} {line.value}]..." for line in lines if line.repeated
    )
    shown = _REPEATED.sub("", patterns).replace("[options]", "[options]" + repeated)
    return f"Usage:{shown}\n\n" + "\n".join(map(_for_docopt, lines))


def _for_docopt(line: OptionLine) -> str:
    value = "" if line.value is None else f" {line.value}"
    names = [name + value for name in (line.short, line.long) if name is not None]
    default = "" if line.default is None else f"  [default: {line.default}]"
    return "  " + ", ".join(names) + default

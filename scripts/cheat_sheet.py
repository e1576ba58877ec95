"""The tables of the cheat sheet, made from usage texts."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Final

from pubsub_broker import cli as broker
from pubsub_broker.commands import status
from pubsub_common.cli.usage_text import OptionLine, option_lines, sections
from pubsub_perf import driver
from pubsub_publisher import cli as publisher
from pubsub_subscriber import cli as subscriber

PROGRAMS: Final[Mapping[str, str]] = {
    "publisher": publisher.USAGE,
    "subscriber": subscriber.USAGE,
    "broker": broker.USAGE,
    "status": status.USAGE,
    "driver": driver.USAGE,
}
# The group of the options that a cheat sheet leaves out.
_RARE: Final = "Rare"


def table(usage: str) -> str:
    """The examples of a program, and its options but the rare ones, each with the first part
    of its description."""
    out = []
    for section in sections(usage):
        if section.title == "Examples":
            out += ["```sh", *(line.strip() for line in section.lines), "```", ""]
            out += ["| | Option | Meaning |", "|---|---|---|"]
        lines = option_lines("\n".join(section.lines))
        if section.title != _RARE:
            for number, line in enumerate(lines):
                out.append(_row(line, "" if number else section.name))
    return "\n".join(out) + "\n"


def _row(line: OptionLine, group: str) -> str:
    names = ", ".join(name for name in (line.short, line.long) if name is not None)
    value = f" {line.value}" if line.value else ""
    meaning = re.split(r"; |\. ", line.text)[0].rstrip(".").replace("|", "\\|")
    default = f" ({line.default})" if line.default is not None else ""
    return f"| {group} | `{names}{value}` | {meaning}{default} |"


TABLES: Final[dict[str, Callable[[], str]]] = {
    f"cheat-{name}": functools.partial(table, usage) for name, usage in PROGRAMS.items()
}

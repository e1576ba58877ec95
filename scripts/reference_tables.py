"""Writes the tables in the docs that are made from the code: ``make tables``.

Each stands between two comments, ``<!-- table: NAME -->`` and ``<!-- end of table -->``. A
test compares them with the code.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cheat_sheet
import protocol_tables
import vector_tables
from pubsub_broker import cli as broker
from pubsub_common.cli.usage_text import OptionLine, option_lines
from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance import runner
from pubsub_common.testing.conformance.scenario import OPTIONS
from pubsub_perf import driver
from pubsub_perf.plots.registry import NETWORK_FIGURES, SWEEP_FIGURES
from pubsub_perf.results.tables import (
    CELL_COLUMNS,
    EVENT_COLUMNS,
    RUN_COLUMNS,
    ColumnText,
)
from pubsub_publisher import cli as publisher
from pubsub_subscriber import cli as subscriber

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("common", "broker", "publisher", "subscriber", "perf")
PROGRAMS: Final = {
    "broker": broker.USAGE,
    "publisher": publisher.USAGE,
    "subscriber": subscriber.USAGE,
    "driver": driver.USAGE,
}
_BLOCK: Final = re.compile(
    r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL
)


def folders(package: str) -> Iterator[Path]:
    """The folders with code of a package, the package itself first."""
    top = ROOT / "packages" / f"pubsub-{package}" / "src" / f"pubsub_{package}"
    for path in sorted(top.rglob("__init__.py"), key=lambda path: path.parent.parts):
        yield path.parent


def folder_table(package: str) -> str:
    """What each folder of a package is, as its docstring says, and its modules."""
    rows = ["| Folder | What it is | Layer | Modules |", "|---|---|---|---|"]
    for folder in folders(package):
        doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8")))
        paragraphs = [" ".join(part.split()) for part in (doc or "").split("\n\n")]
        modules = [
            f"`{path.stem}`"
            for path in sorted(folder.glob("*.py"))
            if path.stem not in ("__init__", "__main__")
        ]
        parts = folder.parts
        name = "/".join(parts[parts.index("src") + 1 :])
        layer = paragraphs[-1].rstrip(".")
        rows.append(
            f"| `{name}` | {paragraphs[0]} | {layer} | {' '.join(modules) or ''} |"
        )
    return "\n".join(rows) + "\n"


def option_table() -> str:
    """All long options of the roles and of the driver."""
    lines: dict[str, dict[str, OptionLine]] = {}
    for program, usage in PROGRAMS.items():
        for line in option_lines(usage):
            lines.setdefault(line.long, {})[program] = line
    rows = ["| Option | Programs | Default | Meaning |", "|---|---|---|---|"]
    for long, by_program in sorted(lines.items()):
        first = next(iter(by_program.values()))
        names = ", ".join(filter(None, (first.short, long)))
        value = f" {first.value}" if first.value else ""
        default = _together({name: it.default or "" for name, it in by_program.items()})
        text = _together({name: it.text for name, it in by_program.items()})
        rows.append(
            f"| `{names}{value}` | {', '.join(by_program)} | {default} | {text} |"
        )
    return "\n".join(rows) + "\n"


def figure_table() -> str:
    """The figures of a report."""
    rows = ["| Figure | Shows |", "|---|---|"]
    rows += [f"| `{it.name}` | {it.shows} |" for it in SWEEP_FIGURES]
    rows += [f"| `<network>-{it.name}` | {it.shows} |" for it in NETWORK_FIGURES]
    return "\n".join(rows) + "\n"


def column_table(columns: Sequence[ColumnText]) -> str:
    """The columns of a table of results."""
    rows = ["| Column | What it is |", "|---|---|"]
    rows += [f"| `{column.name}` | {column.text} |" for column in columns]
    return "\n".join(rows) + "\n"


def conformance_table() -> str:
    """The scenarios of the conformance tool."""
    rows = ["| Scenario | Of | A client must | Section |", "|---|---|---|---|"]
    by_name: dict[tuple[str, str], list[str]] = {}
    found = {}
    roles: tuple[Role, ...] = ("subscriber", "publisher")
    for role in roles:
        for each in runner.scenarios_of(role, options=OPTIONS):
            by_name.setdefault((each.name, each.title), []).append(role)
            found[each.name, each.title] = each
    for key, names in by_name.items():
        each = found[key]
        owner = "both" if len(names) > 1 else names[0]
        needs = f", with `{each.optional}`" if each.optional else ""
        link = f"[{each.section}](protocol.md#{each.section})"
        rows.append(f"| `{each.name}` | {owner}{needs} | {each.title} | {link} |")
    return "\n".join(rows) + "\n"


def _together(by_program: dict[str, str]) -> str:
    """One text if all programs say the same, else each with its programs before it."""
    programs: dict[str, list[str]] = {}
    for program, text in by_program.items():
        programs.setdefault(text.replace("|", "\\|"), []).append(program)
    if len(programs) == 1:
        return next(iter(programs))
    told = (f"{', '.join(names)}: {text}" for text, names in programs.items() if text)
    return "; ".join(told)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "options": option_table,
    "figures": figure_table,
    "conformance": conformance_table,
    "result-cells": functools.partial(column_table, CELL_COLUMNS),
    "result-runs": functools.partial(column_table, RUN_COLUMNS),
    "result-events": functools.partial(column_table, EVENT_COLUMNS),
    **cheat_sheet.TABLES,
    **protocol_tables.TABLES,
    **vector_tables.TABLES,
    **{f"folders-{name}": functools.partial(folder_table, name) for name in PACKAGES},
}


def renewed(text: str) -> str:
    """The text of a page with new tables."""
    return _BLOCK.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def pages() -> list[Path]:
    """The pages that hold such tables."""
    every = sorted((ROOT / "docs").rglob("*.md"))
    every += sorted((ROOT / "packages").glob("*/README.md"))
    return [page for page in every if _BLOCK.search(page.read_text("utf-8"))]


def main() -> None:
    for page in pages():
        page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

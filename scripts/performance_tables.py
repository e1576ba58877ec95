#!/usr/bin/env python3
"""Put the figures of docs/benchmarks into the tables of the pages in docs.

    scripts/performance_tables.py            # write them
    scripts/performance_tables.py --check    # exit code 1 if they are not there

A page has a line `<!-- table: NAME -->` before each table and `<!-- end -->` behind it; where
`rows` stands for `table`, only existing rows are updated.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
PAGES: Final = ("performance.md", "comparison.md")

Document = dict[str, Any]

_METRICS: Final = {
    "rate": "events/s",
    "p50_us": "µs p50",
    "p99_us": "µs p99",
    "cpu_s_per_million": "CPU s per million",
}
_OURS: Final = ("pubsub, batches", "pubsub", "raw")
_MARKED: Final = re.compile(
    r"(<!-- (?P<what>table|rows): (?P<name>[\w-]+) -->\n)(?P<old>.*?)(<!-- end -->)",
    re.DOTALL,
)


def bars(document: Document) -> str:
    """Each ratio to plain pyzmq, and its bar."""
    rows = []
    for found in document["comparisons"]:
        rate = found["metric"] == "rate"
        digits = 0 if rate else 2
        rows.append(
            (
                found["bar"],
                f"{found['name']}: {_METRICS[found['metric']]}",
                f"{found['ratio']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})",
                f"{'≥' if rate else '≤'} {found['bound']:.2f}",
                f"{found['ours']:,.{digits}f}",
                f"{found['other']:,.{digits}f}",
                _met(found),
            )
        )
    head = (
        "Bar",
        "What",
        "Ratio (lowest to highest)",
        "Asked for",
        "Ours",
        "Against",
        "",
    )
    return _table(head, "ll>>>>l", rows)


def facts(document: Document) -> str:
    """Start, memory, registrations."""
    rows = [
        (
            found["bar"],
            found["name"],
            f"{found['value']:.2f} {found['unit']}",
            f"{found['bound']:g}",
            _met(found),
        )
        for found in document["facts"]
    ]
    return _table(("Bar", "What", "Value", "At most", ""), "ll>>l", rows)


def peers(metric: str) -> Callable[[Document], str]:
    """The cells of one metric, with every system."""

    def table(document: Document) -> str:
        found = [row for row in document["rows"] if row["metric"] == metric]
        there = {name for row in found for name in row["values"]}
        names = [name for name in (*_OURS, *document["peers"]) if name in there]
        rows = [
            (
                _cell(row),
                *(_value(row["values"].get(name), metric) for name in names),
                _standing(row),
            )
            for row in found
        ]
        head = ("cell", *names, "against the best peer")
        return _table(head, "l" + ">" * len(names) + "l", rows)

    return table


def groups(document: Document) -> str:
    """What a group costs its brokers."""
    rows = []
    for found in document["figures"]:
        expected, bound = found["expected"], found["bound"]
        rows.append(
            (
                found["bar"],
                found["name"],
                f"{found['value']:,.2f} ({found['lowest']:,.2f} to "
                f"{found['highest']:,.2f}) {found['unit']}",
                "" if expected is None else f"{expected:.2f}",
                "" if bound is None else f"{bound:g}",
                "" if bound is None else _met(found),
            )
        )
    head = ("Bar", "What", "Median (lowest to highest)", "Model", "At most", "")
    return _table(head, "ll>>>l", rows)


def event_costs(document: Document) -> str:
    """What an event costs one broker."""
    rows = []
    for found in document["event_costs"]:
        taken_us, copy_us = found["costs"]["taken_us"], found["costs"]["copy_us"]
        rows.append(
            (
                f"{found['payload_bytes']:,} B, {found['events_per_s']:,.0f}/s",
                f"{taken_us:.1f} µs",
                f"{copy_us:.2f} µs",
                f"{taken_us / copy_us:.1f}",
            )
        )
    return _table(("Events", "Taking in", "Each copy", "*a*"), "l>>>", rows)


TABLES: Final[dict[str, tuple[str, Callable[[Document], str]]]] = {
    "bars": ("bars.json", bars),
    "facts": ("bars.json", facts),
    "groups": ("brokers.json", groups),
    "event-costs": ("brokers.json", event_costs),
    "peers-rate": ("peers.json", peers("rate")),
    "peers-p50": ("peers.json", peers("p50_us")),
    "peers-p99": ("peers.json", peers("p99_us")),
}


def page(text: str, folder: Path) -> str:
    """The page ``text`` with the tables of the figures in ``folder``."""

    def fill(match: re.Match[str]) -> str:
        file, table = TABLES[match["name"]]
        lines = table(json.loads((folder / file).read_text(encoding="utf-8"))).split(
            "\n"
        )
        if match["what"] == "rows":
            kept = {_key(line) for line in match["old"].splitlines()}
            lines = [line for line in lines if _key(line) in kept]
        return "\n".join((match[1].rstrip(), *lines, match[5]))

    return _MARKED.sub(fill, text)


def main(argv: list[str]) -> int:
    if argv not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = []
    for name in PAGES:
        file = DOCS / name
        text = file.read_text(encoding="utf-8")
        filled = page(text, DOCS / "benchmarks")
        if filled != text:
            stale.append(name)
            if not argv:
                file.write_text(filled, encoding="utf-8")
    if argv and stale:
        print(f"without the figures: {', '.join(stale)}; run {sys.argv[0]}")
    return int(bool(argv and stale))


def _key(line: str) -> tuple[str, ...]:
    """What a row is about: the cells before the first figure."""
    cells = line.split("|")[1:]
    numbered = cells[0].strip() == "Bar" or cells[0].strip().isdigit()
    return tuple(cells[: 2 if numbered else 1])


def _table(head: Iterable[str], align: str, rows: Iterable[Iterable[object]]) -> str:
    rule = ("---:" if each == ">" else "---" for each in align)
    lines = (" | ".join(map(str, row)) for row in (head, *rows))
    first, *rest = (f"| {line} |" for line in lines)
    return "\n".join((first, f"|{'|'.join(rule)}|", *rest))


def _met(found: Document) -> str:
    return "met" if found["met"] else "**missed**"


def _cell(row: Document) -> str:
    route = "brokered" if row["brokered"] else "direct"
    return f"{route}, {row['payload_bytes']} B, {row['subscribers']} sub."


def _value(value: float | None, metric: str) -> str:
    if value is None:
        return ""
    if metric != "rate":
        return f"{value:,.0f}"
    return f"{value / 1000:,.{0 if value >= 100_000 else 1}f}"


def _standing(row: Document) -> str:
    return f"{row['standing']} ({row['lead']} \u00d7 {row['best_peer']})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

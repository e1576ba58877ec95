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
    "inside_p50_us": "µs p50 inside",
    "inside_p99_us": "µs p99 inside",
    "cpu_s_per_million": "CPU s per million",
}
_PEER_TABLES: Final = {
    "rate": "rate",
    "cpu": "cpu_s_per_million",
    "p50": "p50_us",
    "p99": "p99_us",
    "inside": "inside_p50_us",
}
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


def peers(metric: str, route: str) -> Callable[[Document], str]:
    """A metric of one route: a line for each system and kind of call, a column for each cell. The
    best of a column is bold."""

    def table(document: Document) -> str:
        found = [
            row
            for row in document["rows"]
            if row["metric"] == metric and row["cell"]["route"] == route
        ]
        there = {name for row in found for name in row["values"]}
        rows = [
            (name, *(_value(row, name) for row in found))
            for name in document["lines"]
            if name in there
        ]
        if not rows:
            return "Not in these figures."
        head = ("", *(_cell(row["cell"]) for row in found))
        return _table(head, "l" + ">" * len(found), rows)

    return table


def peer_bars(*, large: bool) -> Callable[[Document], str]:
    """The bars, as ratios within a round: those of large events, or the others."""

    def table(document: Document) -> str:
        return _peer_bars(
            found for found in document["bars"] if (found["bar"] == "large") == large
        )

    return table


def _peer_bars(bars: Iterable[Document]) -> str:
    rows = []
    for found in bars:
        ratio = found["ratio"]
        lost = f", {found['lost']:,} lost" if found["lost"] else ""
        rows.append(
            (
                found["bar"],
                f"{found['line']} / {found['against']}",
                _METRICS[found["metric"]],
                found["cell"] + lost,
                f"{ratio['median']:.2f} ({ratio['lowest']:.2f} to {ratio['highest']:.2f})",
                f"{'≥' if found['metric'] == 'rate' else '≤'} {found['bound']:.2f}",
                _met(found),
            )
        )
    if not rows:
        return "Not in these figures."
    head = ("Bar", "What", "", "Cell", "Ratio (lowest to highest)", "Asked for", "")
    return _table(head, "llll>>l", rows)


def peer_list(words: Callable[[Document], str]) -> Callable[[Document], str]:
    """A list of the peers, with notes about a run."""

    def text(document: Document) -> str:
        lines = [
            f"- **{peer['title']}**{words(peer)}."
            for peer in document["peers"].values()
        ]
        lines += [f"- {note}" for note in document.get("notes", ())]
        lines += [f"- Left out: {reason}." for reason in document["missing"].values()]
        return "\n".join(lines)

    return text


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
    "peers-settings": (
        "peers.json",
        peer_list(lambda peer: f" ({peer['version']}): {peer['settings']}"),
    ),
    "peers-gives": ("peers.json", peer_list(lambda peer: f": {peer['gives']}")),
    "peers-bars": ("peers.json", peer_bars(large=False)),
    "peers-large": ("peers.json", peer_bars(large=True)),
    **{
        f"peers-{name}-{route}": ("peers.json", peers(metric, route))
        for name, metric in _PEER_TABLES.items()
        for route in ("direct", "brokered")
    },
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


def _cell(cell: Document) -> str:
    """Short: a column is narrow."""
    size = cell["payload_bytes"]
    units = (("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1))
    unit, factor = next(each for each in units if size % each[1] == 0)
    rate = f", {cell['rate']:,.0f}/s" if cell["rate"] else ""
    return f"{size // factor} {unit}, {cell['subscribers']} sub.{rate}"


def _value(row: Document, name: str) -> str:
    """A median, bold where it is the best of its row."""
    if name not in row["values"]:
        return ""
    value = row["values"][name]["median"]
    medians = [each["median"] for each in row["values"].values()]
    rate = row["metric"] == "rate"
    best = max(medians) if rate else min(medians)
    shown = value / 1000 if rate else value
    # The digits that differ between runs say nothing.
    text = f"{shown:,.{0 if shown >= 100 else 1 if shown >= 10 else 2}f}"
    text = f"**{text}**" if value == best and len(medians) > 1 else text
    lost = row["lost"].get(name)
    return f"{text}, {lost:,} lost" if lost else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

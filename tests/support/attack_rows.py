"""The rows of the table of attacks in SECURITY.md.

A test of an attack declares its row::

    @attack(what="status requests with unread answers",
            got="disconnected; the broker's memory grows by {memory}",
            bound="REPLY_QUEUE_BYTES")

and fills ``{memory}`` with its measurement, by the fixture ``figures``. ``make attacks`` runs
all of them at full size and writes the table: `declared` has the rows, `Results` the outcome.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "system" / "attacks"
SECURITY: Final = ROOT / "SECURITY.md"
MARK: Final = "attack"

HEADER: Final = ("Attack", "Model", "What the attacker got", "Bound", "Test")
_BLOCK: Final = re.compile(
    r"(<!-- attacks -->\n).*?(<!-- end of attacks -->)", re.DOTALL
)
_FIGURE: Final = re.compile(r"\{(\w+)\}")
# The text of a figure before the first full run.
UNMEASURED: Final = "…"
# The form of figures of each kind.
_A_FIGURE: Final = r"(?:[\d.]+ (?:MiB|s|ms)|\d+|…)"


def attack(
    *, what: str, got: str, bound: str = "", model: str = ""
) -> pytest.MarkDecorator:
    """Marks the test of an attack.

    Args:
        what: the attack, as a noun: what the attacker does, and where.
        got: what the attacker got by it, with the names of figures in braces.
        bound: what bounds it: an option or a name of `pubsub_common.defaults`, if anything.
        model: the models that it is about, where the test is not run for each of them.
    """
    return pytest.mark.attack(what=what, got=got, bound=bound, model=model)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row as its test declares it."""

    what: str
    got: str
    bound: str
    test: str
    model: str = ""

    def __post_init__(self) -> None:
        for cell in dataclasses.astuple(self):
            assert "|" not in cell, f"a table has no place for a bar: {cell!r}"
            assert "\n" not in cell, f"a row is one line: {cell!r}"


@functools.cache
def declared() -> tuple[Row, ...]:
    """The rows of all tests, by file and position; read, not run."""
    return tuple(
        row for path in sorted(FOLDER.glob("test_*.py")) for row in _rows_of(path)
    )


def _rows_of(path: Path) -> Iterator[Row]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for each in node.decorator_list:
            match each:
                case ast.Call(func=ast.Name(id="attack"), keywords=keywords):
                    fields = {k.arg: ast.literal_eval(k.value) for k in keywords}
                    yield Row(
                        what=fields["what"],
                        got=fields["got"],
                        bound=fields.get("bound", ""),
                        test=f"{path.name}::{node.name}",
                        model=fields.get("model", ""),
                    )


class Figures:
    """The figures of a test; of several runs the largest counts."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[float, str]] = {}

    def mib(self, name: str, mebibytes: float) -> None:
        """Memory, in MiB."""
        self._add(name, mebibytes, "MiB")

    def seconds(self, name: str, seconds: float) -> None:
        """A time, in seconds."""
        self._add(name, seconds, "s")

    def count(self, name: str, number: float) -> None:
        """A number of things."""
        self._add(name, number, "")

    def _add(self, name: str, value: float, unit: str) -> None:
        known = self.values.get(name, (-math.inf, unit))
        self.values[name] = (max(known[0], value), unit)

    def encoded(self) -> str:
        return json.dumps(self.values)


def written(value: float, unit: str) -> str:
    """A figure in the table: rounded up, in one of few units."""
    if unit == "MiB":
        return f"{max(0, math.ceil(value))} MiB"
    if unit == "s":
        if value < 1:
            return f"{max(1, math.ceil(value * 1000))} ms"
        return f"{math.ceil(value * 10) / 10:.1f} s"
    return str(math.ceil(value))


@dataclasses.dataclass
class Result:
    """The result of all runs of one test."""

    models: set[str] = dataclasses.field(default_factory=set)
    keys: set[str] = dataclasses.field(default_factory=set)
    figures: Figures = dataclasses.field(default_factory=Figures)
    failed: list[str] = dataclasses.field(default_factory=list)

    @property
    def model(self) -> str:
        """The cell with the models."""
        model = "both" if len(self.models) == 2 else "".join(self.models)
        plain = {
            frozenset(): "",
            frozenset({"secure"}): "",
            frozenset({"plain"}): "not secure",
        }.get(frozenset(self.keys), "secure or not")
        return ", ".join(filter(None, (model, plain)))


class Results:
    """The results of the tests of attacks, by file and name."""

    def __init__(self) -> None:
        self.of: dict[str, Result] = {}

    def add(
        self, nodeid: str, failed: bool, properties: Sequence[tuple[str, object]]
    ) -> None:
        """Add the report of one run of a test, as pytest gives it."""
        test = nodeid.partition("[")[0].rpartition("/")[2]
        result = self.of.setdefault(test, Result())
        for name, value in properties:
            match name:
                case "model":
                    result.models.add(str(value))
                case "keys":
                    result.keys.add(str(value))
                case "figures":
                    for figure, (number, unit) in json.loads(str(value)).items():
                        result.figures._add(figure, number, unit)
        if failed:
            result.failed.append(nodeid)

    def cells(self, row: Row) -> tuple[str, ...] | None:
        """The cells of a row, if its test ran and passed."""
        result = self.of.get(row.test)
        if result is None or result.failed:
            return None

        def figure(found: re.Match[str]) -> str:
            value = result.figures.values.get(found[1])
            return UNMEASURED if value is None else written(*value)

        got = _FIGURE.sub(figure, row.got)
        return row.what, row.model or result.model, got, row.bound, f"`{row.test}`"


def table_rows(text: str) -> dict[str, tuple[str, ...]]:
    """The rows of the table in SECURITY.md, by test, in their order."""
    block = _BLOCK.search(text)
    assert block, "SECURITY.md has no place for the table"
    lines = block[0].split("\n")[3:-1]
    rows = [
        tuple(line.removeprefix("| ").removesuffix(" |").split(" | ")) for line in lines
    ]
    return {row[-1].strip("`"): row for row in rows if len(row) == len(HEADER)}


def with_table(text: str, results: Results) -> str:
    """SECURITY.md with new rows for the tests that ran and passed. Rows without a test
    are removed; those of tests that failed, or did not run, stay."""
    old = table_rows(text)
    lines = [HEADER, ("---",) * len(HEADER)]
    for row in declared():
        cells = results.cells(row) or old.get(row.test)
        if cells is not None:
            lines.append(cells)
    made = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return _BLOCK.sub(lambda found: found[1] + made + found[2], text)


def fits(row: Row, cells: Sequence[str]) -> bool:
    """Whether a row of the table matches its test's declaration, for any figures."""
    parts = [re.escape(part) for part in _FIGURE.split(row.got)[::2]]
    what, _model, got, bound, test = cells
    return (what, bound, test) == (
        row.what,
        row.bound,
        f"`{row.test}`",
    ) and re.fullmatch(_A_FIGURE.join(parts), got) is not None


def failures(results: Results) -> Mapping[str, list[str]]:
    """The runs that failed, by test."""
    return {test: each.failed for test, each in results.of.items() if each.failed}

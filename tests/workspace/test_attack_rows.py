"""The table of attacks is made from the declarations and results of their tests."""

from __future__ import annotations

import json

import pytest
from support.attack_rows import (
    Figures,
    Results,
    Row,
    declared,
    fits,
    table_rows,
    with_table,
    written,
)


@pytest.fixture
def row() -> Row:
    """A row that is there: the table has no others."""
    return next(row for row in declared() if "{wait}" in row.got)


def ran(
    row: Row, model: str, keys: str, wait_s: float, failed: bool = False
) -> Results:
    results = Results()
    add(results, row, model, keys, wait_s, failed)
    return results


def add(
    results: Results,
    row: Row,
    model: str,
    keys: str,
    wait_s: float,
    failed: bool = False,
) -> None:
    figures = {"wait": (wait_s, "s"), "memory": (3.2, "MiB"), "ratio": (2, "")}
    properties = [("model", model), ("keys", keys), ("figures", json.dumps(figures))]
    nodeid = f"tests/system/attacks/{row.test}[{model}-{keys}-a/b]"
    results.add(nodeid, failed, properties)


EMPTY = "before\n<!-- attacks -->\n<!-- end of attacks -->\nafter\n"


def test_a_row_has_the_largest_figure_and_where_it_was_tried(row: Row) -> None:
    results = ran(row, "centralized", "plain", 0.02)
    add(results, row, "decentralized", "secure", 0.1234)
    text = with_table(EMPTY, results)
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    (cells,) = table_rows(text).values()
    assert cells[0] == row.what
    assert cells[1] == "both, secure or not"
    assert "124 ms" in cells[2]
    assert fits(row, cells)


def test_a_row_of_what_failed_or_did_not_run_stays_as_it_was(row: Row) -> None:
    text = with_table(EMPTY, ran(row, "centralized", "secure", 0.1))
    assert with_table(text, Results()) == text
    failed = ran(row, "centralized", "secure", 0.7, failed=True)
    assert with_table(text, failed) == text
    (cells,) = table_rows(text).values()
    assert cells[1] == "centralized"


def test_a_row_that_says_something_else_than_its_test_does_not_fit(row: Row) -> None:
    (cells,) = table_rows(
        with_table(EMPTY, ran(row, "centralized", "plain", 0.1))
    ).values()
    for index in (0, 2, 3, 4):
        changed = list(cells)
        changed[index] += "x"
        assert not fits(row, changed)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01, "MiB", "1 MiB"),
        (-3, "MiB", "0 MiB"),
        (0.0001, "s", "1 ms"),
        (0.19951, "s", "200 ms"),
        (1.21, "s", "1.3 s"),
        (8, "", "8"),
    ],
)
def test_figures_are_rounded_up(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


def test_of_figures_of_one_name_the_largest_counts() -> None:
    figures = Figures()
    figures.seconds("wait", 0.3)
    figures.seconds("wait", 0.1)
    assert json.loads(figures.encoded()) == {"wait": [0.3, "s"]}


@pytest.mark.parametrize("cell", ["a | b", "a\nb"])
def test_a_row_that_would_break_the_table_is_an_error(cell: str) -> None:
    with pytest.raises(AssertionError):
        Row(what=cell, got="", bound="", test="test_x.py::test_y")

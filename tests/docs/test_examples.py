"""The example sweeps under ``docs/examples``: their pages agree with their data."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from support.examples import EXAMPLES, decided_anew


def test_there_is_one_of_each_sweep() -> None:
    assert [path.name for path in EXAMPLES] == ["patterns", "patterns-unshaped"]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_the_verdicts_are_those_of_the_analysis(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    found = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    rows = re.findall(
        r"^\| (\d) \| (.+) \| \*\*(\w+)\*\* \| (.+) \|$", text, re.MULTILINE
    )
    patterns = found["patterns"]
    assert [(int(n), claim, verdict) for n, claim, verdict, _ in rows] == [
        (p["number"], p["claim"], p["verdict"]) for p in patterns
    ]
    for (*_, effect), pattern in zip(rows[:4], patterns[:4], strict=True):
        assert f"{pattern['estimate']['value']:.3g}" in effect


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_the_verdicts_are_those_of_todays_rules(folder: Path) -> None:
    found = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    told = [(p["verdict"], p["sentence"]) for p in found["patterns"]]
    assert told == [(p.verdict, p.sentence) for p in decided_anew(folder).patterns]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_the_runs_are_those_of_the_analysis(folder: Path) -> None:
    found = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    with (folder / "runs.csv").open(encoding="utf-8") as file:
        listed = [
            (row["network"], row["model"], int(row["run"]), row["fidelity"])
            for row in csv.DictReader(file)
        ]
    assert listed == [
        (cell["network"], cell["model"], run["number"], run["fidelity"])
        for cell in found["cells"]
        for run in cell["runs"]
    ]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_links_lead_to_files(folder: Path) -> None:
    for page in folder.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (folder / target).exists(), f"{page.name}: {target}"

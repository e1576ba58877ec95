"""Folders with several scenarios: each is analysed by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.perf_sweeps import write_sweep

from pubsub_perf.plan import topologies
from pubsub_perf.report.analysis_page import write_analyses
from pubsub_perf.report.served_files import ReportFiles
from pubsub_perf.report.writer import write_report
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.scenarios import scenarios

NAMES = ("payload-size=64", "payload-size=256", "payload-size=1024")
FOLDERS = [f"payload-size_{size}" for size in (64, 256, 1024)]
STARS = [topologies.single_switch(count) for count in (4, 6)]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "payloads"
    (folder / "data").mkdir(parents=True)
    for name in NAMES:
        made = write_sweep(tmp_path / "one", STARS, runs=3, details=False)
        (made / "data").rename(folder / "data" / name)
    return folder


def test_a_folder_is_split_into_its_scenarios_in_order_of_numbers(sweep: Path) -> None:
    whole = read_dataset(sweep)
    assert len(whole.cells) == 3 * 2 * 2
    assert not whole.problems
    parts = scenarios(whole)
    assert tuple(part.scenario for part in parts) == NAMES
    assert parts[0].title == "payloads: payload-size=64"
    for part in parts:
        assert [(cell.model, cell.network) for cell in part.cells] == [
            (model, star.name)
            for star in STARS
            for model in ("centralized", "decentralized")
        ]


def test_a_record_names_its_scenario_wherever_it_lies(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "one", STARS[:1], details=False)
    for path in folder.rglob("cell.json"):
        record = json.loads(path.read_text()) | {"scenario": "delay=5"}
        path.write_text(json.dumps(record))
    (only,) = scenarios(read_dataset(folder))
    assert {cell.scenario for cell in only.cells} == {"delay=5"}
    assert {cell.network for cell in only.cells} == {STARS[0].name}
    assert only.scenario == ""


def test_cells_have_the_same_names_in_a_part_of_a_sweep(sweep: Path) -> None:
    whole = {cell.network for cell in read_dataset(sweep).cells}
    assert whole == {f"{name}/{star.name}" for name in NAMES for star in STARS}
    (part,) = (sweep / "data").glob("*=64")
    assert {cell.network for cell in read_dataset(part).cells} == {
        f"{NAMES[0]}/{star.name}" for star in STARS
    }


def test_each_scenario_is_analysed_by_itself(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = write_analyses(sweep, out)
    assert [each.analysis.title for each in written] == [
        f"payloads: {name}" for name in NAMES
    ]
    for each, folder in zip(written, FOLDERS, strict=True):
        found = json.loads((out / "scenarios" / folder / "analysis.json").read_text())
        assert len(found["cells"]) == 4
        assert {cell.network for cell in each.analysis.cells} == {
            star.name for star in STARS
        }
    page = (out / "analysis.html").read_text()
    text = (out / "analysis.md").read_text()
    for name, folder in zip(NAMES, FOLDERS, strict=True):
        assert f'href="scenarios/{folder}/analysis.html">{name}</a>' in page
        assert f"| [{name}](scenarios/{folder}/analysis.md) | " in text
    verdicts = [finding.verdict for finding in written[0].findings.patterns]
    assert (
        f"| [{NAMES[0]}](scenarios/{FOLDERS[0]}/analysis.md) | " + " | ".join(verdicts)
        in text
    )


def test_a_report_leads_to_those_of_its_scenarios(sweep: Path) -> None:
    for name in NAMES[1:]:
        (sweep / "data" / name).rename(sweep / name)
    (sweep / NAMES[1]).rename(sweep / "data" / NAMES[1])
    report = write_report(sweep)
    for folder in FOLDERS[:2]:
        assert sweep / "scenarios" / folder / "report.html" in report.files
        assert (sweep / "scenarios" / folder / "plots").is_dir()
    assert report.files[-2:] == (sweep / "report.md", sweep / "report.html")
    # The scenarios of a cell stand below each other.
    text = (sweep / "report.md").read_text()
    cells = [line.split(" | ")[:3] for line in text.splitlines() if " ok |" in line]
    assert cells == [
        [f"| {star.name}", model, name]
        for star in STARS
        for model in ("centralized", "decentralized")
        for name in NAMES[:2]
    ]
    served = ReportFiles(sweep)
    assert served.get("/") is not None
    for path in ("report.html", "report.md", f"plots/{STARS[0].name}-topology.png"):
        assert served.get(f"/scenarios/{FOLDERS[0]}/{path}") is not None
    for path in ("/scenarios/../report.html", "/scenarios/x/data/cell.json"):
        assert served.get(path) is None
    assert not list(served.left_out())


def test_names_of_strangers_make_folders_of_their_own(sweep: Path) -> None:
    for number, path in enumerate(sorted(sweep.rglob("cell.json"))):
        name = ("../../away", "a/b", "<b>", "A_B")[number % 4]
        path.write_text(json.dumps({"scenario": name}))
    written = write_analyses(sweep, sweep / "out")
    folders = {path.parent for each in written[:-1] for path in each.files}
    assert {folder.parent for folder in folders} == {sweep / "out" / "scenarios"}
    assert len({str(folder).lower() for folder in folders}) == len(written) - 1
    assert "<b>" not in (sweep / "out" / "analysis.html").read_text()

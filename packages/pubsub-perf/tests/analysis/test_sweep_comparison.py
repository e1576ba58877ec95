"""The comparison of two sweeps, and its commands."""

from __future__ import annotations

import html.parser
import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
from support.synthetic_sweeps import (
    GroundTruth,
    LatencyByHosts,
    LatencyModel,
    write_sweep,
)

from pubsub_perf import cli
from pubsub_perf.analysis.cell_samples import load_of
from pubsub_perf.analysis.sweep_comparison import Comparison, compare_sweeps
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of

SIZES = (5, 9, 17)


def line(n: float) -> float:
    return 3e-4 + 1e-5 * n


def ground_truth(
    centralized: LatencyByHosts = line,
    direct: LatencyByHosts = line,
    *,
    runs: int = 5,
    slow: float = 3.0,
) -> GroundTruth:
    return GroundTruth(
        LatencyModel(centralized, slow_factor=slow),
        LatencyModel(direct, slow_factor=slow),
        sizes=SIZES,
        runs=runs,
        events=150,
        run_noise=0.03,
    )


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep; to be read only."""
    return write_sweep(tmp_path_factory.mktemp("before"), ground_truth(), 1)


def compare(before: Path, after: Path) -> Comparison:
    return compare_sweeps(read_dataset(before), read_dataset(after))


def test_another_draw_is_not_slower(before: Path, tmp_path: Path) -> None:
    found = compare(before, write_sweep(tmp_path, ground_truth(), 2))
    assert found.slower == ()
    assert (len(found.rows), found.left_out) == (6, ())
    assert found.pooled is not None
    assert found.pooled.cells == 6


def test_the_same_sweep_is_the_same(before: Path) -> None:
    found = compare(before, before)
    assert {round(row.p50.value, 9) for row in found.rows} == {1.0}
    assert found.slower == ()


def test_a_slower_model_is_found(before: Path, tmp_path: Path) -> None:
    after = write_sweep(tmp_path, ground_truth(lambda n: 1.6 * line(n)), 2)
    found = compare(before, after)
    assert {row.cell.partition("/")[0] for row in found.slower} == {"centralized"}
    assert len(found.slower) == 3
    back = compare(after, before)
    assert [row.change for row in back.rows].count("faster") == 3
    assert back.slower == ()


def test_a_slower_tail_is_found(before: Path, tmp_path: Path) -> None:
    found = compare(before, write_sweep(tmp_path, ground_truth(slow=12.0), 2))
    assert found.slower
    for row in found.slower:
        assert row.p50.value < 1.2
        assert row.p99 is not None
        assert row.p99.low is not None
        assert row.p99.low > 1.05


def test_seldom_wrong_where_nothing_changed(tmp_path: Path) -> None:
    sweeps = [write_sweep(tmp_path / str(i), ground_truth(), 10 + i) for i in range(20)]
    data = [read_dataset(folder) for folder in sweeps]
    alarms = sum(
        compare_sweeps(a, b, margin=0.0).got_slower for a, b in itertools.pairwise(data)
    )
    assert alarms <= 3  # 2.5 % each are expected: half of 5 % is on this side.


def test_all_cells_a_little_slower_are_found_together(
    before: Path, tmp_path: Path
) -> None:
    slower = ground_truth(lambda n: 1.12 * line(n), lambda n: 1.12 * line(n))
    found = compare(before, write_sweep(tmp_path, slower, 2))
    assert found.pooled is not None
    assert found.pooled.change == "slower"
    assert found.got_slower


def test_what_cannot_be_compared_is_named(before: Path, tmp_path: Path) -> None:
    after = Path(shutil.copytree(before, tmp_path / "after"))
    data = after / "data/centralized"
    shutil.rmtree(data / "single-switch-5hosts")
    for path in (data / "single-switch-9hosts").rglob("cell.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"fidelity": {"verdict": "saturated"}}))
    for path in (data / "single-switch-17hosts").rglob("cell.json"):
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"parameters": {"interval_s": 1}}))
    found = compare(before, after)
    assert {item.cell: item.reason for item in found.left_out} == {
        "centralized/single-switch-5hosts": "only in A",
        "centralized/single-switch-9hosts": "B: the machine was saturated",
        "centralized/single-switch-17hosts": (
            "the loads differ: 0.05 s interval, 64 B; 1 s interval"
        ),
    }
    assert len(found.rows) == 3


def make_secure(sweep: Path) -> Path:
    """Have its cells say that their roles had keys."""
    for path in sweep.rglob("cell.json"):
        about = json.loads(path.read_text())
        about["parameters"]["secure"] = True
        path.write_text(json.dumps(about))
    return sweep


def test_a_secure_sweep_is_compared_with_a_plain_one_and_named(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(before), str(before)]) == 0
    assert "secure" not in capsys.readouterr().out
    after = make_secure(Path(shutil.copytree(before, tmp_path / "after")))
    found = compare(before, after)
    assert found.kinds == ("plain", "secure")
    assert (len(found.rows), found.left_out) == (6, ())
    assert cli.main(["compare", str(before), str(after)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "The first sweep is plain, the second secure." in said
    opposite_note = Path(shutil.copytree(before, tmp_path / "mixed"))
    make_secure(opposite_note / "data" / "centralized")
    assert compare(opposite_note, after).kinds == ("plain and secure", "secure")


def test_a_group_is_compared_with_one_broker_and_named(
    before: Path, tmp_path: Path
) -> None:
    after = Path(shutil.copytree(before, tmp_path / "after"))
    for path in after.rglob("cell.json"):
        about = json.loads(path.read_text())
        about["parameters"]["brokers"] = 3
        path.write_text(json.dumps(about))
    found = compare(before, after)
    assert found.kinds == ("plain", "plain with 3 brokers")
    assert found.rows
    assert not found.left_out


def test_within_a_sweep_secure_cells_are_not_compared_with_plain_ones(
    before: Path, tmp_path: Path
) -> None:
    opposite_note = Path(shutil.copytree(before, tmp_path / "mixed"))
    make_secure(opposite_note / "data" / "centralized")
    cells = read_dataset(opposite_note).cells
    assert {load_of(c).endswith(", secure") for c in cells if "dec" in c.model} == {
        False
    }
    assert {load_of(c).endswith(", secure") for c in cells if "dec" not in c.model} == {
        True
    }
    assert {"secure" in summary_of(c).load for c in cells if "dec" not in c.model} == {
        True
    }


# The commands.


def test_compare_says_slower_by_its_exit_code(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = write_sweep(tmp_path, ground_truth(lambda n: 1.6 * line(n)), 2)
    assert cli.main(["compare", str(before), str(after)]) == 1
    shown = capsys.readouterr().out
    assert shown.count("slower") >= 3
    assert cli.main(["compare", str(after), str(before)]) == 0
    assert cli.main(["compare", str(before), str(after), "--margin", "200"]) == 0


def test_compare_of_single_runs_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_sweep(tmp_path / "a", ground_truth(runs=1), 1)
    second = write_sweep(tmp_path / "b", ground_truth(lambda n: 9 * line(n), runs=1), 1)
    assert cli.main(["compare", str(first), str(second)]) == 0
    assert "no cell has three runs in both sweeps" in capsys.readouterr().err


def test_compare_draws_a_figure(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after = write_sweep(tmp_path / "after", ground_truth(lambda n: 3 * line(n)), 2)
    words = ["compare", str(before), str(after)]
    assert cli.main(words) == 1
    assert str(after / "comparison.png") in capsys.readouterr().out.replace("\n", "")
    first = (after / "comparison.svg").read_bytes()
    assert cli.main([*words, "--out", str(tmp_path / "new" / "folder")]) == 1
    assert (tmp_path / "new" / "folder" / "comparison.svg").read_bytes() == first
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    assert cli.main([*words, "--out", str(tmp_path / "file")]) == 2
    assert "cannot draw the comparison in" in capsys.readouterr().err


@pytest.mark.parametrize("margin", ["-1", "x", "nan"])
def test_an_impossible_margin_is_a_usage_error(
    before: Path, margin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(before), str(before), f"--margin={margin}"]
    assert cli.main(words) == 2
    assert "not a percentage from 0 to 1000" in capsys.readouterr().err


def test_compare_without_common_cells_is_one_clear_line(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text("p,A,0.1\n")
    assert cli.main(["compare", str(before), str(tmp_path)]) == 2
    assert "no common cell" in capsys.readouterr().err
    assert cli.main(["compare", str(before), str(tmp_path / "gone")]) == 2
    assert "nothing to compare: " in capsys.readouterr().err


class Page(html.parser.HTMLParser):
    """A page that is well formed and loads nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_analyze_prints_verdicts_and_writes_files(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert cli.main(["analyze", str(before), "--out", str(out), "--seed", "5"]) == 0
    shown = capsys.readouterr().out
    assert "undecided" in shown
    assert "Verdict" in shown
    assert sorted(path.name for path in out.iterdir()) == [
        "analysis.html",
        "analysis.json",
        "analysis.md",
    ]
    assert json.loads((out / "analysis.json").read_text())["seed"] == 5
    page = Page((out / "analysis.html").read_text())
    assert page.open == []
    assert {link[0] for link in page.links} == {"#"}
    text = (out / "analysis.md").read_text()
    tables = [row for row in text.splitlines() if row.startswith("|")]
    assert len(tables) > 10
    assert "## Verdicts" in text
    again = tmp_path / "again"
    assert cli.main(["analyze", str(before), "--out", str(again), "--seed", "5"]) == 0
    for path in out.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_analyze_shows_hostile_names_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in ("centralized", "decentralized"):
        folder = tmp_path / "data" / model / "[red]<script>|*x*"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text("p,A,0.1\n")
        about = {"format": 1, "fidelity": {"verdict": "strained", "reason": "<b>[/]"}}
        (folder / "cell.json").write_text(json.dumps(about))
    assert cli.main(["analyze", str(tmp_path)]) == 0
    text = (tmp_path / "analysis.html").read_text()
    assert "<script>|" not in text
    assert "<b>[/]" not in text
    table = [
        row
        for row in (tmp_path / "analysis.md").read_text().splitlines()
        if row.startswith("| ")
    ]
    for row in table:
        assert "<script" not in row
        assert len(re.findall(r"(?<!\\)\|", row)) <= 10


def test_analyze_of_nothing_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["analyze", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("pubsub-perf: nothing to analyse: no latency files")
    assert list(tmp_path.iterdir()) == []


def test_analyze_into_a_file_is_one_clear_line(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["analyze", str(before), "--out", str(tmp_path / "file")]) == 2
    assert "cannot write the analysis to " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["analyze", "compare"])
def test_commands_are_named_in_the_usage_text(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert not stop.value.code
    assert f"\n  {command} " in capsys.readouterr().out

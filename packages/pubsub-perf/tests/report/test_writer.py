"""The report of a folder: its files, its numbers, and data that is not right."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.cli import main
from pubsub_perf.plots.output import Drawing
from pubsub_perf.plots.registry import NETWORK_FIGURES, SWEEP_FIGURES
from pubsub_perf.report.rendering import options
from pubsub_perf.report.svg_for_page import for_page
from pubsub_perf.report.writer import Report, write_report
from pubsub_perf.units import MILLISECONDS

HEADER = "publisher,topic,latency_seconds\n"
MODELS = ("centralized", "decentralized")


def write_file(folder: Path, latencies: Any, name: str = "subscriber-0.csv") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"10.0.0.{2 + i % 4}:5556,A,{x}\n" for i, x in enumerate(latencies))
    (folder / name).write_text(HEADER + rows)


def write_cell(folder: Path, **fields: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cell.json").write_text(json.dumps({"format": 1} | fields))


def samples(median_s: float, count: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).lognormal(np.log(median_s), 0.3, count)


class Page(html.parser.HTMLParser):
    """What a browser would load or show of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.links += [values[n] for n in ("src", "href", "data") if n in values]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.images.append((values["src"], values["alt"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def page(folder: Path) -> Page:
    parsed = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert parsed.open == []
    return parsed


def check(folder: Path) -> Report:
    """Write a report and check what holds for every one."""
    report = write_report(folder)
    for path in report.files:
        assert path.stat().st_size > 500
    assert report.files[-2:] == (folder / "report.md", folder / "report.html")
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    shown = re.findall(r"^!\[.*\]\((.*)\)$", markdown, re.MULTILINE)
    pictures = [path for path in report.files if path.suffix == ".png"]
    assert [folder / name for name in shown] == pictures
    parsed = page(folder)
    assert len(parsed.images) == len(pictures)
    for link in parsed.links:
        inline = link.startswith(("data:image/svg+xml,", "data:image/png;base64,"))
        assert inline or link[1:] in parsed.ids
    assert len(set(parsed.ids)) == len(parsed.ids)
    return report


def write_sweep(root: Path) -> Path:
    for number, (network, hosts) in enumerate(
        [("tree-d2f2-4hosts", 4), ("linear-16hosts", 16)]
    ):
        for model in MODELS:
            folder = root / "data" / model / network
            write_file(folder, samples(5e-4 * (number + 1), 600, number))
            write_file(folder, samples(5e-4, 596), "subscriber-1.csv")
            write_cell(
                folder,
                topology={"kind": network.partition("-")[0], "hosts": hosts},
                hosts={
                    "kind": "mininet",
                    "publishers": ["10.0.0.2"] * 4,
                    "subscribers": ["10.0.0.6"] * 2,
                },
                parameters={"events": 150, "interval_s": 0.1, "payload_bytes": 64},
                commands={
                    "broker": ["pubsub-broker", "--address", "10.0.0.1"],
                    "publisher-0": ["pubsub-publisher", "-t", "<a & b>"],
                },
                versions={"pubsub-perf": "0.1.0", "pyzmq": f"27.{number}.0"},
                kernel="6.18.5",
                started=f"2026-11-24T06:0{number}:00+00:00",
                duration_s=9.5,
                outcome="ok",
                expected=1200,
                received=1196,
                lost=4,
                cpu_pressure={"some_percent": 12.5},
                fidelity={"verdict": "ok", "reason": None},
            )
    return root


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep of two networks, without a report."""
    return write_sweep(tmp_path)


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not drawn, which takes most of the time of a report; for tests of
    its texts."""
    blank = {
        "png": (b"\x89PNG\r\n\x1a\n").ljust(600, b"."),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><g>%b</g></svg>'
        % (600 * b" "),
    }
    monkeypatch.setattr(Drawing, "render", lambda _self, kind: blank[kind])


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This sweep with its report, read-only."""
    folder = write_sweep(tmp_path_factory.mktemp("reported"))
    assert check(folder).warnings == ()
    return folder


def test_a_sweep_has_figures_markdown_and_a_page(reported: Path) -> None:
    names = {path.name for path in (reported / "plots").iterdir()}
    drawn = {name.rpartition(".")[0] for name in names}
    assert names == {f"{stem}.{kind}" for stem in drawn for kind in ("png", "svg")}
    listed = {figure.name for figure in SWEEP_FIGURES}
    needed = {"hosts"}  # as they need nothing but latencies
    for network in ("tree-d2f2-4hosts", "linear-16hosts"):
        listed |= {f"{network}-{figure.name}" for figure in NETWORK_FIGURES}
        needed |= {f"{network}-{name}" for name in ("box", "ecdf", "pairs")}
    assert needed <= drawn <= listed


def test_the_numbers_of_a_cell_are_those_of_its_samples(reported: Path) -> None:
    every = sorted([*samples(5e-4, 600, 0), *samples(5e-4, 596)])
    ranks = [-(-1196 * per_mille // 1000) for per_mille in (500, 900, 990, 999)]
    values = [MILLISECONDS.show(every[rank - 1]) for rank in ranks]
    expected = [
        *(
            "tree-d2f2-4hosts",
            "centralized",
            "4",
            "4 / 2",
            "1,200",
            "1,196",
            "1,196",
            "4",
        ),
        *values,
        MILLISECONDS.show(every[-1]),
        *("ok", "12.5 %"),
    ]
    assert expected in page(reported).rows
    line = "| " + " | ".join(expected) + " |"
    assert line in (reported / "report.md").read_text().splitlines()


def test_the_page_needs_nothing_but_itself(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    without_figures = re.sub(r'data:image/[^"]*', "", text)
    assert "//" not in without_figures.replace("// ", "")
    for loader in ("@import", "url(", "<link", "<iframe", "srcset", ' src="http'):
        assert loader not in without_figures
    svgs = (reported / "plots").glob("*.svg")
    figures = {ElementTree.canonicalize(for_page(p.read_bytes())) for p in svgs}
    for source, description in page(reported).images:
        svg = unquote(source.removeprefix("data:image/svg+xml,"))
        assert ElementTree.canonicalize(svg) in figures
        assert not re.search("href=.http", svg)
        assert "centralized" in description
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_a_policy_forbids_the_page_to_ask_for_anything(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = hashlib.sha256(content.encode()).digest()
        assert f"sha256-{base64.b64encode(digest).decode()}" in policy


def test_the_contents_lead_to_every_part(reported: Path) -> None:
    parsed = page(reported)
    wanted = {"#verdicts", "#results", "#headline", "#analysis", "#networks", "#ran"}
    assert wanted | {"#tree-d2f2-4hosts", "#linear-16hosts"} <= set(parsed.links)


def test_the_five_verdicts_are_at_the_top(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    assert text.index('id="verdicts"') < text.index('id="results"')
    assert (
        len(re.findall(r'<li class="(?:supported|contradicted|undecided)">', text)) == 5
    )
    markdown = (reported / "report.md").read_text()
    assert len(re.findall(r"^[1-5]\. \*\*.*\*\* ", markdown, re.MULTILINE)) == 5
    assert markdown.index("## Verdicts") < markdown.index("## Results")


def test_tables_can_be_sorted_row_by_row(reported: Path) -> None:
    text = (reported / "report.html").read_text()
    tables = re.findall(r'<table class="data">(.*?)</table>', text, re.DOTALL)
    assert len(tables) >= 2
    for table in tables:
        assert "rowspan" not in table
        assert table.count("<tbody>") == 1
        columns = table.count('<th scope="col"')
        for row in re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL):
            assert len(re.findall(r"<t[dh]", row)) == columns


def test_the_report_says_what_ran(reported: Path) -> None:
    rows = page(reported).rows
    for row in (
        ["kernel", "6.18.5"],
        ["pubsub-perf", "0.1.0"],
        ["pyzmq", "27.0.0 (2 cells); 27.1.0 (2 cells)"],
        ["parameters: interval_s", "0.1"],
        ["hosts: kind", "mininet"],
        ["started", "2026-11-24T06:00:00+00:00 to 2026-11-24T06:01:00+00:00"],
        ["duration of all cells", "38.0 s"],
    ):
        assert row in rows
    for name in ("report.html", "report.md"):
        text = (reported / name).read_text()
        assert "pubsub-publisher -t &#39;&lt;a &amp; b&gt;&#39;" in text
        assert "16 lost of 4,800." in text
        assert "4 cells on 2 networks, none failed." in text


def test_the_same_data_gives_the_same_report(reported: Path, tmp_path: Path) -> None:
    for path in write_report(reported, tmp_path / "again").files:
        name = path.relative_to(tmp_path / "again")
        assert path.read_bytes() == (reported / name).read_bytes(), name


@pytest.mark.usefixtures("blank_figures")
def test_a_report_can_go_elsewhere(sweep: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "place"
    report = write_report(sweep / "data/centralized/tree-d2f2-4hosts", out)
    assert all(out in path.parents for path in report.files)
    assert sorted(path.name for path in out.iterdir()) == [
        "plots",
        "report.html",
        "report.md",
    ]


def test_a_place_that_cannot_be_written_is_one_clear_line(sweep: Path) -> None:
    (sweep / "file").write_text("")
    with pytest.raises(ConfigError, match=r"^cannot write the report to .*/file: "):
        write_report(sweep, sweep / "file")


def test_nothing_to_plot_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^nothing to plot: "):
        write_report(tmp_path)
    with pytest.raises(ConfigError, match=r"^nothing to plot: "):
        write_report(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("blank_figures")
def test_a_failed_cell_is_reported_with_its_reason(sweep: Path) -> None:
    folder = sweep / "data/centralized/dumbbell-32hosts"
    write_cell(folder, outcome="failed", reason="h9 does not reach <h1>", expected=50)
    report = check(sweep)
    assert report.warnings == (
        "centralized on dumbbell-32hosts failed: h9 does not reach <h1>",
    )
    text = (sweep / "report.html").read_text()
    assert "h9 does not reach &lt;h1&gt;" in text
    assert "1 failed" in text
    assert "16 lost of 4,800 in the cells that did not fail" in text
    assert "No samples, so no figures." in text
    assert "h9 does not reach &lt;h1>" in (sweep / "report.md").read_text()


@pytest.mark.usefixtures("blank_figures")
def test_an_overloaded_machine_is_pointed_out(sweep: Path) -> None:
    write_cell(
        sweep / "data/centralized/linear-16hosts",
        expected=1200,
        received=1196,
        lost=4,
        fidelity={"verdict": "saturated", "reason": "CPU pressure 55 %"},
    )
    count, cause, _ = check(sweep).warnings
    assert count.startswith("In 1 of 4 runs the machine was strained or saturated")
    assert cause.startswith("The emulated hosts need more than this machine has")
    text = (sweep / "report.html").read_text()
    assert "In 1 cell the machine was strained" in text
    assert "<b>centralized on linear-16hosts</b>: saturated: CPU pressure 55 %" in text


@pytest.mark.usefixtures("blank_figures")
def test_a_machine_that_nobody_judged_is_pointed_out(sweep: Path) -> None:
    check(sweep)
    assert "No fidelity record" not in (sweep / "report.html").read_text()
    write_cell(
        sweep / "data/centralized/linear-16hosts", expected=1200, received=1196, lost=4
    )
    check(sweep)
    said = "No fidelity record in 1 of 4 cells: it is unknown whether the machine kept"
    for name in ("report.html", "report.md"):
        text = (sweep / name).read_text()
        verdicts, results = re.split(r"Results(?:</h2>)?\n", text, maxsplit=1)
        assert said in verdicts
        assert said in results


@pytest.mark.usefixtures("blank_figures")
def test_rows_that_are_no_latency_are_reported(tmp_path: Path) -> None:
    write_file(tmp_path / "plain", [0.001, "nan", 0.002, "oops", 0.0, -0.001])
    report = check(tmp_path / "plain")
    assert report.warnings == (
        "subscriber-0.csv: 1 NaN (line 3), 1 broken row (line 5): kept out of the "
        "statistics",
        "subscriber-0.csv: 2 values of 0 s or less: kept",
    )
    text = (tmp_path / "plain/report.html").read_text()
    assert '<td class="number">4</td>' in text
    assert "Received without a latency that is a number: 2 events" in text
    assert "2 latencies of 0 or less" in text
    assert "1 NaN (line 3)" in text


@pytest.mark.usefixtures("blank_figures")
def test_a_broken_cell_json_is_reported(sweep: Path) -> None:
    folder = sweep / "data/centralized/linear-16hosts"
    (folder / "cell.json").write_text("{")
    (warning,) = check(sweep).warnings
    assert "linear-16hosts/cell.json is not JSON, and is ignored" in warning
    assert "and not counted in 1 cell" in (sweep / "report.html").read_text()


@pytest.mark.usefixtures("blank_figures")
def test_where_all_cells_failed_their_samples_are_said_to_be_such(
    tmp_path: Path,
) -> None:
    for number in (1, 2):
        run = tmp_path / "data/centralized/linear-4hosts" / ("", "run-2")[number - 1]
        write_file(run, samples(1e-3, 200))
        write_cell(run, outcome="failed", reason="no broker", expected=200)
    check(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "400 latency samples." in text
    assert "loss not counted" not in text
    assert "Of a failed cell, the events that its runs received." in text
    assert "All successful runs" not in text


@pytest.mark.usefixtures("blank_figures")
def test_without_cell_json_loss_is_not_counted(tmp_path: Path) -> None:
    write_file(tmp_path / "plain", samples(1e-3, 200))
    report = check(tmp_path / "plain")
    assert report.warnings == ()
    assert check(tmp_path / "plain") == report  # Its own files are not data.
    row = page(tmp_path / "plain").rows[1]
    assert row[:8] == ["plain", "data", "n/a", "4 / 1", "n/a", "200", "200", "n/a"]
    assert row[11] == "n/a"
    assert row[13:] == ["unknown", "n/a"]
    text = (tmp_path / "plain/report.html").read_text()
    assert "loss not counted" in text
    assert "p99.9 is n/a below 1,000 samples" in text
    assert "What ran" not in text
    assert "Verdicts" not in text


@pytest.mark.parametrize(
    "latencies",
    [[], [0.001], [0.001] * 300, ["nan"] * 3, [0.0, -1.0], [1e-9, 1e9]],
    ids=["empty", "one", "equal", "nan", "not positive", "wide"],
)
@pytest.mark.parametrize("models", [MODELS, MODELS[:1]], ids=["both", "one model"])
def test_odd_samples_make_a_report(
    tmp_path: Path, models: tuple[str, ...], latencies: list[float]
) -> None:
    for model in models:
        write_file(tmp_path / "data" / model / "tree-d2f2-4hosts", latencies)
    check(tmp_path)


def test_an_odd_cell_beside_a_good_one_makes_a_report(tmp_path: Path) -> None:
    write_file(tmp_path / "data/centralized/linear-4hosts", samples(1e-3, 100))
    write_file(tmp_path / "data/decentralized/linear-4hosts", [-1.0, 0.0])
    write_file(tmp_path / "data/decentralized/linear-8hosts", [])
    check(tmp_path)


def test_hostile_names_and_values_stay_text(tmp_path: Path) -> None:
    folder = tmp_path / "data/centralized" / "<script>|*x*`$y$"
    write_file(folder, [0.001, 0.002])
    write_cell(
        folder,
        outcome="<b>odd\nvalue</b>",
        kernel="](http://evil.example) \ud800 | x",
        versions={"<i>": "<u>", "deep": [{"a": 1}]},
        commands={"a": "plain <text>", "b": 7, "c": [1, None]},
        parameters=["not", "an", "object"],
        machine={"memory_bytes": 2**34},
    )
    check(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert text.count("<script") == 1
    for tag in ("<b>odd", "<i>", "<u>", "<text>"):
        assert tag not in text
    assert "17,179,869,184 (16.0 Gi)" in text
    markdown = (tmp_path / "report.md").read_text()
    assert r"\](http://evil" in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 16) for line in tables)


def test_networks_whose_names_clash_as_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("net a", "net_a", "NET_A"):
        write_file(tmp_path / name, [0.001])
    names = [path.name.lower() for path in check(tmp_path).files]
    assert len([name for name in names if name.endswith("-box.png")]) == 3
    assert len(set(names)) == len(names)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    folder, victim = tmp_path / "sweep", tmp_path / "victim"
    write_file(folder / "data/centralized/tree-d2f2-4hosts", samples(0.001, 20))
    victim.write_text("mine")
    (folder / "plots").mkdir()
    written = ["report.md", "report.html", "plots/tree-d2f2-4hosts-ecdf.png"]
    for name in written:
        (folder / name).symlink_to(victim)

    report = write_report(folder)

    assert victim.read_text() == "mine"
    assert not any(path.is_symlink() for path in report.files)
    assert {folder / name for name in written} <= set(report.files)


def test_a_folder_of_figures_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    write_file(folder / "data/centralized/tree-d2f2-4hosts", samples(0.001, 20))
    elsewhere.mkdir()
    (folder / "plots").symlink_to(elsewhere)

    with pytest.raises(ConfigError, match=r"plots is a link, and nothing is written"):
        write_report(folder)

    assert list(elsewhere.iterdir()) == []


HOSTILE = "\x1b]0;name\x07\r\n# forged\u2028\u202e\x9b=1+1"


def test_a_page_shows_what_others_wrote_and_does_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep"
    for number, outcome in enumerate(("ok", HOSTILE, "failed")):
        cell = folder / "data" / "centralized" / f"tree-d2f2-{number}hosts"
        write_file(cell, samples(0.001, 20))
        rows = (HEADER + f"{'10.0.0.2:1' + HOSTILE[:8]},A\u202e,0.1\n").encode()
        (cell / "subscriber-1.csv").write_bytes(rows)
        write_cell(
            cell,
            outcome=outcome,
            reason=HOSTILE,
            model=HOSTILE,
            network=HOSTILE,
            topology={"kind": HOSTILE, "hosts": 4},
            fidelity={"verdict": "strained" + HOSTILE, "reason": HOSTILE},
            hosts={"publishers": [HOSTILE], "kind": HOSTILE},
            commands={HOSTILE: [HOSTILE]},
            python=HOSTILE,
            started=HOSTILE,
            publishers=[{"address": "10.0.0.2:5556", "host": HOSTILE}],
        )

    assert main(["plot", str(folder)]) == 0

    said = capfd.readouterr()
    assert "forged" in said.err
    pages = [(folder / name).read_text() for name in ("report.md", "report.html")]
    for text in (said.out, said.err, *pages):
        assert [line for line in text.split("\n") if not line.isprintable()] == []
    assert not any(line.startswith("# forged") for line in pages[0].split("\n"))


def test_an_option_and_its_value_stay_on_one_line() -> None:
    shown = options("Make links slower: --bandwidth 2.5. Add --force, <b>.")
    assert '<span class="option">--bandwidth 2.5</span>. Add' in shown
    assert '<span class="option">--force</span>, &lt;b&gt;.' in shown

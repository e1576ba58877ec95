"""Packs: their content, reports from them, and invalid packs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import rings
from support.perf_sweeps import write_sweep

from pubsub_common.errors import ConfigError
from pubsub_common.testing import wait_for
from pubsub_perf.cli import main
from pubsub_perf.plan.topologies import single_switch
from pubsub_perf.results import unpacking
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.folder_extent import MAX_FILES
from pubsub_perf.results.packs import pack
from pubsub_perf.results.unpacking import results_folder, unpack

ROW = "publisher,topic,latency_seconds\n10.0.0.2:5556,A,0.0005\n"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with what else is in its folder: figures, logs, hidden files."""
    folder = tmp_path_factory.mktemp("made") / "my sweep"
    write_sweep(folder, [single_switch(5), single_switch(9)], runs=3, events=40)
    (folder / "experiment.toml").write_text("repeats = 3\n")
    (folder / "report.html").write_text("<p>")
    for name in ("plots/hosts.png", "data/.hidden/subscriber-0.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "data/centralized/empty-7hosts").mkdir()
    cell = folder / "data/centralized/single-switch-5hosts"
    for name in ("logs/broker.log", "reports/broker.json"):
        (cell / name).parent.mkdir()
        (cell / name).write_text("x")
    return folder


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return {n for n in archive.namelist() if not n.endswith("/")}


def zipped(path: Path, files: dict[str, str], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def small() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("s/a.csv", ROW)
        archive.writestr("s/\u00e9/b.csv", ROW * 20, zipfile.ZIP_DEFLATED)
        archive.writestr("s/empty/", "")
    return content.getvalue()


SMALL = small()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_pack_has_the_data_and_nothing_made_from_it(
    sweep: Path, tmp_path: Path
) -> None:
    made = pack(sweep, tmp_path / "p.zip")
    found = names(made.path)
    assert len(found) == made.files
    kinds = {Path(name).name.partition("-")[0] for name in found}
    assert kinds == {"cell.json", "experiment.toml", "subscriber", "publisher"}
    assert "my sweep/data/centralized/single-switch-5hosts/run-3/cell.json" in found


def test_it_goes_beside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data.of" / "v1.2"
    write_sweep(folder, [single_switch(5)])
    assert pack(folder).path == tmp_path / "data.of" / "v1.2.zip"


def test_the_same_data_make_the_same_pack(sweep: Path, tmp_path: Path) -> None:
    first = pack(sweep, tmp_path / "a.zip")
    copy = tmp_path / "elsewhere" / sweep.name
    shutil.copytree(sweep, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
    second = pack(copy, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert first.sha256 == second.sha256


def test_a_pack_is_read_like_its_folder(sweep: Path, tmp_path: Path) -> None:
    made = pack(sweep, tmp_path / "other name.zip")
    direct = read_dataset(sweep)
    with results_folder(made.path) as folder:
        found = read_dataset(folder)
    assert found.folder.name == sweep.name
    assert found.problems == direct.problems != ()
    assert [(c.model, c.network) for c in found.cells] == [
        (c.model, c.network) for c in direct.cells
    ]
    for one, other in zip(found.cells, direct.cells, strict=True):
        assert np.array_equal(one.latencies, other.latencies)
        assert [run.meta for run in one.runs] == [run.meta for run in other.runs]
    assert not folder.exists()


@pytest.mark.parametrize(("command", "figures"), [("plot", 10), ("analyze", 0)])
def test_what_is_made_of_a_pack_is_that_of_the_folder(
    command: str, figures: int, tmp_path: Path
) -> None:
    folder = write_sweep(tmp_path / "my sweep", [single_switch(5)], runs=3)
    made = pack(folder, tmp_path / "p.zip")
    assert main([command, str(folder), "--out", str(tmp_path / "direct")]) == 0
    assert main([command, str(made.path)]) == 0
    found = contents(tmp_path / "p")
    assert sum(name.endswith((".png", ".svg")) for name in found) >= figures
    assert len(found) > 2
    assert found == contents(tmp_path / "direct")


def test_packs_are_compared(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pack(sweep, tmp_path / "p.zip")
    said = []
    for first, second in ((sweep, sweep), (made.path, sweep), (made.path, made.path)):
        words = [str(first), str(second), "--out", str(tmp_path / "out")]
        assert main(["compare", *words]) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_of_what_was_unpacked(
    number: signal.Signals, sweep: Path, tmp_path: Path
) -> None:
    made = pack(sweep, tmp_path / "p.zip")
    place = tmp_path / "temporary"
    place.mkdir()
    plotting = subprocess.Popen(
        [sys.executable, "-m", "pubsub_perf", "plot", str(made.path)],
        env=os.environ | {"TMPDIR": str(place)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: any(place.glob("pubsub-pack-*/*/data")), timeout_s=60)
        plotting.send_signal(number)
        assert plotting.wait(60) == 128 + number
    finally:
        plotting.kill()
        plotting.wait()
    assert list(place.iterdir()) == []


def test_the_command_says_what_it_made(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.zip"
    assert main(["pack", str(sweep), "--out", str(path)]) == 0
    made = pack(sweep, path)
    assert capsys.readouterr().out == (
        f"{path}: {made.files} files, {path.stat().st_size:,} bytes, "
        f"SHA-256 {made.sha256}\n"
    )


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"s/data/centralized/n-5hosts/subscriber-0.csv": ROW}, "s"),
        ({"data/centralized/n-5hosts/subscriber-0.csv": ROW}, "mine"),
        ({"centralized/n-5hosts/subscriber-0.csv": ROW}, "mine"),
        ({"s/a.csv": ROW, "__MACOSX/s/._a.csv": "x", ".DS_Store": "x"}, "s"),
        ({"a.csv": ROW, "b.csv": ROW}, "mine"),
        ({"mine/a.csv": ROW, "b.csv": ROW}, "mine"),
    ],
)
def test_archives_of_others_are_packs(
    files: dict[str, str], name: str, tmp_path: Path
) -> None:
    path = zipped(tmp_path / "mine.zip", files)
    with results_folder(path) as folder:
        assert folder.name == name
        assert read_dataset(folder).cells


@pytest.mark.parametrize(
    "name", ["../a.csv", "/a.csv", "s/../../a.csv", "s\\..\\a.csv"]
)
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW, name: ROW})
    with (
        pytest.raises(ConfigError, match="a name in it leads out"),
        results_folder(path),
    ):
        pass
    assert sorted(tmp_path.iterdir()) == [path]


def test_it_unpacks_to_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW * 1000}, compression=8)
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", len(ROW) * 1000 - 1)
    with pytest.raises(ConfigError, match="unpacks to more than"), results_folder(path):
        pass


def test_what_is_no_data_is_not_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW, "s/big.png": "x", "s/b.sh": "x"})
    with results_folder(path) as folder:
        assert set(contents(folder)) == {"a.csv"}


def test_a_pack_that_is_cut_off_or_changed_is_said_in_one_line(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pack(sweep, tmp_path / "p.zip").path.read_bytes()
    middle = len(whole) // 2
    for content in (
        whole[:-40],
        whole[:100],
        whole[:middle] + bytes(200) + whole[middle + 200 :],
    ):
        path = tmp_path / "broken.zip"
        path.write_bytes(content)
        assert main(["plot", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"pubsub-perf: {path} ")
        assert said.count("\n") == 1


@settings(max_examples=rings.examples(100), deadline=None)
@given(st.data())
def test_a_pack_of_any_bytes_is_unpacked_or_refused(data: st.DataObject) -> None:
    content = bytearray(SMALL)
    places = st.integers(0, len(content) - 1)
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)))):
        content[place] = byte
    with tempfile.TemporaryDirectory() as name:
        path, place_for_it = Path(name) / "p.zip", Path(name) / "place"
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        place_for_it.mkdir()
        with contextlib.suppress(ConfigError):
            assert unpack(path, place_for_it).is_relative_to(place_for_it)
        assert set(Path(name).iterdir()) == {path, place_for_it}


def test_an_encrypted_pack_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW})
    content = bytearray(path.read_bytes())
    # The flag of an entry, in the directory at the end and before the data.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="it is encrypted"), results_folder(path):
        pass


def test_an_error_names_the_pack_and_no_folder_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zipped(tmp_path / "p.zip", {"s/cell.json": '{"format": 1}'})
    assert main(["analyze", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert "pubsub-pack" not in said


def test_a_folder_with_everything_in_it_is_not_packed_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.csv").write_text(ROW)
    assert main(["pack", str(folder)]) == 2
    assert sorted(tmp_path.iterdir()) == [folder]
    assert main(["pack", str(folder), "--yes"]) == 0
    assert len(names(tmp_path / "home.zip")) == MAX_FILES + 1


def test_without_room_it_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW})
    full = SimpleNamespace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with (
        pytest.raises(ConfigError, match=r"room for 10 \(TMPDIR"),
        results_folder(path),
    ):
        pass


def test_the_report_of_a_pack_is_viewed_where_plot_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = zipped(tmp_path / "p.zip", {"s/a.csv": ROW})
    assert main(["view", str(path)]) == 2
    assert f"no report in {tmp_path / 'p'}: " in capsys.readouterr().err


def test_a_file_that_cannot_be_packed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.csv").write_text(ROW)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.csv")).write_text(ROW)
    assert main(["pack", str(folder)]) == 2
    said = capsys.readouterr().err
    assert re.search(
        r"cannot pack .*/mine/caf.+\.csv: its name is not valid UTF-8", said
    )
    assert said.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == [folder]


def test_nothing_to_pack_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="nothing to pack"):
        pack(tmp_path / "a")
    assert not (tmp_path / "a.zip").exists()

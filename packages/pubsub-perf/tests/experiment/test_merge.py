"""Folders of a sweep's parts become one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.experiment.merge import merge

PARAMETERS = {"events": 50, "seed": 1, "wait_factor": 5.0}


def cell(out: Path, place: str, **fields: Any) -> Path:
    """A cell's folder as a sweep leaves it."""
    folder = out / "data" / place
    (folder / "events").mkdir(parents=True)
    record = {
        "outcome": "ok",
        "parameters": PARAMETERS,
        "hosts": {"kind": "local"},
        "started": place,
    }
    (folder / "cell.json").write_text(json.dumps(record | fields))
    (folder / "subscriber-0.csv").write_text(
        f"publisher,topic,latency\np,A,{len(place)}\n"
    )
    (folder / "events" / "subscriber-0.csv.gz").write_bytes(place.encode())
    return folder


def files(out: Path) -> dict[str, object]:
    """The content of a folder, with decoded records."""
    return {
        path.relative_to(out).as_posix(): json.loads(path.read_text())
        if path.suffix == ".json"
        else path.read_bytes()
        for path in out.rglob("*")
        if path.is_file()
    }


STAR = "centralized/single-switch-4hosts"
TREE = "decentralized/tree-d2f2-4hosts"


def test_two_parts_become_what_one_sweep_would_have_left(tmp_path: Path) -> None:
    one, first, second = (tmp_path / name for name in ("one", "first", "second"))
    for out in (one, first):
        cell(out, STAR)
    for out in (one, second):
        cell(out, TREE)
        cell(out, f"{STAR}/run-2")

    merged = merge([first, second], tmp_path / "out")

    assert (merged.cells, merged.failed, merged.taken) == (3, 0, 3)
    assert files(tmp_path / "out") == files(one)


def test_a_merge_may_be_repeated_and_added_to(tmp_path: Path) -> None:
    cell(tmp_path / "first", STAR)
    cell(tmp_path / "second", TREE)
    merge([tmp_path / "first"], tmp_path / "out")

    again = merge([tmp_path / "first", tmp_path / "second"], tmp_path / "out")

    assert (again.cells, again.taken) == (2, 1)
    assert not merge([tmp_path / "second"], tmp_path / "out").taken


def test_two_measurements_of_one_cell_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    cell(tmp_path / "first", STAR)
    cell(tmp_path / "second", TREE)
    cell(tmp_path / "second", STAR, started="later")

    with pytest.raises(ConfigError, match="two measurements of one cell"):
        merge([tmp_path / "first", tmp_path / "second"], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_failed_cell_gives_way_to_one_that_did_not_fail(tmp_path: Path) -> None:
    cell(tmp_path / "first", STAR, outcome="failed")
    left = tmp_path / "first" / "data" / STAR / "subscriber-7.csv"
    left.write_text("half a file")
    cell(tmp_path / "second", STAR)
    assert merge([tmp_path / "first"], tmp_path / "out").failed == 1

    merged = merge([tmp_path / "second", tmp_path / "first"], tmp_path / "out")

    assert (merged.cells, merged.failed, merged.taken) == (1, 0, 1)
    assert files(tmp_path / "out") == files(tmp_path / "second")


def test_a_cell_that_was_only_started_is_left_out_with_a_word(tmp_path: Path) -> None:
    cell(tmp_path / "first", STAR)
    cell(tmp_path / "first", TREE, outcome="started")

    merged = merge([tmp_path / "first"], tmp_path / "out")

    assert (merged.cells, merged.failed) == (1, 0)
    assert [TREE in said for said in merged.problems] == [True]


def test_cells_are_replaced_when_asked_for(tmp_path: Path) -> None:
    cell(tmp_path / "out", STAR)
    cell(tmp_path / "first", STAR, started="later")

    merged = merge([tmp_path / "first"], tmp_path / "out", force=True)

    assert (merged.cells, merged.taken) == (1, 1)
    assert files(tmp_path / "out") == files(tmp_path / "first")


@pytest.mark.parametrize("other", ["", "payload-size=64,delay=5/"])
def test_cells_that_differ_in_other_parameters_are_refused(
    tmp_path: Path, other: str
) -> None:
    cell(tmp_path / "first", f"payload-size=64/{STAR}")
    cell(tmp_path / "second", f"payload-size=1024/{STAR}")
    cell(tmp_path / "third", f"{other}{TREE}")
    out = tmp_path / "out"
    assert merge([tmp_path / "first", tmp_path / "second"], out).cells == 2
    with pytest.raises(ConfigError, match="differ in payload-size there, in "):
        merge([tmp_path / "third"], out)
    assert not list(out.rglob(TREE))


def test_cells_of_other_parameters_are_refused(tmp_path: Path) -> None:
    cell(tmp_path / "first", STAR)
    cell(tmp_path / "second", TREE, parameters=PARAMETERS | {"events": 7})

    with pytest.raises(ConfigError, match=r"different sweeps \(events 50 and 7\)"):
        merge([tmp_path / "first", tmp_path / "second"], tmp_path / "out")


def test_a_wait_factor_makes_no_other_sweep(tmp_path: Path) -> None:
    cell(tmp_path / "first", STAR)
    cell(tmp_path / "second", TREE, parameters=PARAMETERS | {"wait_factor": 9})

    merge([tmp_path / "first", tmp_path / "second"], tmp_path / "out")


def test_a_folder_that_is_no_sweep_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(ConfigError, match=f"{name} is not the folder of a sweep"):
            merge([tmp_path / name], tmp_path / "out")


def test_a_record_that_cannot_be_read_leaves_its_cell_out_with_a_word(
    tmp_path: Path,
) -> None:
    cell(tmp_path / "first", STAR)
    (cell(tmp_path / "first", TREE) / "cell.json").write_text("{")

    merged = merge([tmp_path / "first"], tmp_path / "out")

    assert merged.cells == 1
    (said,) = merged.problems
    assert TREE in said
    assert "left out" in said


def test_the_experiment_is_copied_and_one_that_differs_is_named(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        cell(tmp_path / name, f"{STAR}/run-{ord(name[0])}")
    for name, text in (("first", "repeats = 3"), ("second", "repeats = 6")):
        (tmp_path / name / "experiment.toml").write_text(text)

    assert not merge([tmp_path / "first"], tmp_path / "out").problems
    assert (tmp_path / "out" / "experiment.toml").read_text() == "repeats = 3"

    merged = merge([tmp_path / "second", tmp_path / "third"], tmp_path / "out")

    assert (tmp_path / "out" / "experiment.toml").read_text() == "repeats = 6"
    (said,) = merged.problems
    assert said.startswith(str(tmp_path / "out" / "experiment.toml"))


def test_links_are_neither_followed_nor_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = cell(tmp_path / "first", STAR)
    (folder / "subscriber-1.csv").symlink_to(tmp_path / "secret")
    (folder / "away").symlink_to(tmp_path)
    merge([tmp_path / "first"], tmp_path / "out")
    assert b"secret" not in files(tmp_path / "out").values()

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "data").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(ConfigError, match="is a link"):
        merge([tmp_path / "first"], tmp_path / "other")

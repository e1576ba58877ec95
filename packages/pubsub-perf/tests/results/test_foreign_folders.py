"""Sweep folders of somebody else: pipes, devices and links that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pubsub_common.errors import ConfigError
from pubsub_perf.results import event_details_reader
from pubsub_perf.results.dataset import read_dataset

HEADER = b"publisher,topic,latency_seconds\n"
ROW = "10.0.0.2:5556,A,0.0005\n"
CELL = "data/centralized/tree-d2f2-4hosts"
RECORD = json.dumps({"format": 1, "reason": "secret"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep" / CELL
    folder.mkdir(parents=True)
    (folder / "subscriber-0.csv").write_text(ROW)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "cell.json").write_text(RECORD)
    (outside / "subscriber-1.csv").write_text(ROW)
    with gzip.open(outside / "subscriber-0.csv.gz", "wt") as file:
        file.write("publisher,topic,session,sequence,published_ns,received_ns\n")
    return tmp_path / "sweep"


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_out(path: Path) -> None:
    path.symlink_to(Path("../../../..", "outside", path.name))


def a_sparse_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (a_pipe, "it is not a plain file"),
    (a_device, "it is not a plain file"),
    (a_link_out, "it is a link out of the folder"),
    (a_sparse_file, "it is too large, of more than "),
]


@pytest.mark.parametrize(("make", "reason"), KINDS)
@pytest.mark.parametrize("name", ["cell.json", "subscriber-1.csv"])
def test_what_is_no_plain_file_of_the_folder_is_left_out_with_a_word(
    root: Path, name: str, make: Callable[[Path], None], reason: str
) -> None:
    make(root / CELL / name)

    dataset = read_dataset(root)

    (cell,) = dataset.cells
    assert (cell.meta, cell.received) == (None, 1)
    [problem] = dataset.problems
    word = "" if name == "cell.json" else ":"
    assert problem.startswith(f"{CELL}/{name}{word} is left out: {reason}")


def test_a_link_within_the_folder_is_followed(root: Path) -> None:
    (root / "further.csv").write_text(ROW)
    (root / CELL / "subscriber-1.csv").symlink_to("../../../further.csv")

    dataset = read_dataset(root)

    assert dataset.problems == ()
    assert [cell.received for cell in dataset.cells] == [2]


def test_a_folder_that_is_a_link_out_of_it_is_left_out(root: Path) -> None:
    (root / "data" / "decentralized").symlink_to("../../outside")
    (root / "data" / "circle").symlink_to("circle")

    dataset = read_dataset(root)

    assert [cell.model for cell in dataset.cells] == ["centralized"]
    assert dataset.problems == (
        "data/decentralized: is left out: it is a link out of the folder",
        "data/circle: is left out: it is a link to a missing file",
    )


def test_data_elsewhere_is_nothing_to_plot(root: Path) -> None:
    other = root.parent / "other"
    other.mkdir()
    (other / "data").symlink_to(root / "data")

    with pytest.raises(ConfigError, match=r"; data: is left out: it is a link out of"):
        read_dataset(other)


def test_a_folder_may_be_named_by_a_link(root: Path) -> None:
    (root.parent / "named").symlink_to(root)

    assert read_dataset(root.parent / "named").problems == ()


@pytest.mark.parametrize(("make", "reason"), KINDS)
def test_event_details_are_left_out_with_a_word(
    root: Path, make: Callable[[Path], None], reason: str
) -> None:
    folder = root / CELL
    (folder / "events").mkdir()
    path = folder / "events" / "subscriber-0.csv.gz"
    if make is a_link_out:
        path.symlink_to(root.parent / "outside" / path.name)
    else:
        make(path)

    details, problems = event_details_reader.read_details(folder)

    assert details is None
    [problem] = problems
    assert problem.startswith(f"events/{path.name}: is left out: {reason}")


def test_details_that_unpack_to_too_much_are_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_details_reader, "_MAX_BYTES", 10_000)
    folder = root / CELL
    (folder / "events").mkdir()
    with gzip.open(folder / "events" / "subscriber-0.csv.gz", "wb") as file:
        file.write(bytes(100_000))

    _, problems = event_details_reader.read_details(folder)

    assert problems == (
        "events/subscriber-0.csv.gz: is left out: it unpacks to more than 10000 bytes",
    )


def test_a_line_without_end_is_no_latency(root: Path) -> None:
    path = root / CELL / "subscriber-1.csv"
    path.write_bytes(HEADER + b"0" * 1_000_000 + b"\n" + ROW.encode())

    (cell,) = read_dataset(root).cells

    assert [len(file.latencies) for file in cell.files] == [1, 1]


@pytest.mark.parametrize(
    "name", ["tree-d2f2-\u0664hosts", "tree-d\u0662f2-4hosts", "run-\u0661"]
)
def test_digits_of_other_scripts_are_no_numbers_in_names(root: Path, name: str) -> None:
    folder = root / "data" / "decentralized" / name
    folder.mkdir(parents=True)
    (folder / "subscriber-\u0660.csv").write_text("10.0.0.2:5556,A,0.\u0665\n" + ROW)

    cell = read_dataset(root).cells[-1]

    assert cell.network == name
    assert cell.hosts == (4 if name == "tree-d\u0662f2-4hosts" else None)
    [file] = cell.files
    assert (file.index, len(file.latencies)) == (None, 1)


@pytest.mark.parametrize("number", [2**53 + 1, 10**400, 10**4000, -1, 0.5, True])
def test_a_number_that_is_no_count_is_unknown(root: Path, number: float) -> None:
    record = {"format": 1, "received": number, "topology": {"hosts": number}}
    (root / CELL / "cell.json").write_text(json.dumps(record))

    (cell,) = read_dataset(root).cells

    assert (cell.received, cell.hosts) == (1, 4)


def test_a_text_that_is_too_long_is_cut(root: Path) -> None:
    record = {"format": 1, "reason": "x" * 100_000, "outcome": "failed"}
    (root / CELL / "cell.json").write_text(json.dumps(record))

    (cell,) = read_dataset(root).cells

    assert cell.reason == "x" * 1000

"""Reasons for undecided patterns, from the counted cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pubsub_perf.analysis import analyse
from pubsub_perf.report.content import compose
from pubsub_perf.results.dataset import read_dataset
from pubsub_perf.results.summarise_cell import summary_of

HEADER = "publisher,topic,latency_seconds\n"
CENTRALIZED, DECENTRALIZED = "centralized", "decentralized"


def write(
    root: Path,
    model: str,
    network: str,
    *,
    runs: int = 3,
    events: int = 120,
    **about: Any,
) -> None:
    for number in range(1, runs + 1):
        place = root / "data" / model / network
        place = place if number == 1 else place / f"run-{number}"
        place.mkdir(parents=True)
        rows = "".join(f"10.0.0.2:5556,A,0.00{1 + i % 7}\n" for i in range(events))
        (place / "subscriber-0.csv").write_text(HEADER + rows)
        record = {"format": 1, "outcome": "ok", "run": number, "received": events}
        (place / "cell.json").write_text(json.dumps(record | about))


def sentences(root: Path) -> list[str]:
    return [pattern.sentence for pattern in analyse(read_dataset(root)).patterns]


def summary(root: Path) -> str:
    cells = [summary_of(cell) for cell in read_dataset(root).cells]
    return compose(cells, ()).summary[0]


SATURATED: dict[str, Any] = {
    "fidelity": {"verdict": "saturated", "reason": "93 % of the time"}
}


def test_pairs_that_do_not_count_are_not_networks_without_both_models(
    tmp_path: Path,
) -> None:
    for network in ("single-switch-5hosts", "single-switch-9hosts"):
        for model in (CENTRALIZED, DECENTRALIZED):
            write(tmp_path, model, network, **SATURATED)
    told = sentences(tmp_path)
    why = "4 of 4 cells are left out (the machine was saturated)"
    both = f"2 networks have cells of both models, and none of them has two that count; {why}"
    assert told[0] == told[1] == f"Cannot be decided: {both}."
    of = "of two sizes of one kind of network count"
    assert told[2] == f"Cannot be decided: no cells {of}; {why}."
    assert told[3] == f"Cannot be decided: no pairs of cells {of}; {why}."
    assert told[4] == f"Cannot be decided: no cells count; {why}."


def test_reasons_are_counted(tmp_path: Path) -> None:
    network = "single-switch-5hosts"
    write(tmp_path, CENTRALIZED, network, **SATURATED)
    write(
        tmp_path, DECENTRALIZED, network, outcome="failed", reason="host h3 is silent"
    )
    assert sentences(tmp_path)[0] == (
        "Cannot be decided: 1 network has cells of both models, and none of them has two "
        "that count; 2 of 2 cells are left out (the machine was saturated (1) and failed "
        "(1))."
    )


def test_one_model_alone_is_no_network_with_both(tmp_path: Path) -> None:
    write(tmp_path, CENTRALIZED, "single-switch-5hosts")
    write(tmp_path, DECENTRALIZED, "single-switch-9hosts")
    assert sentences(tmp_path)[0] == (
        "Cannot be decided: no network was measured with both models."
    )


def test_unlike_loads_are_told(tmp_path: Path) -> None:
    write(tmp_path, CENTRALIZED, "single-switch-5hosts", parameters={"interval_s": 0.1})
    write(
        tmp_path, DECENTRALIZED, "single-switch-5hosts", parameters={"interval_s": 0.2}
    )
    assert sentences(tmp_path)[0] == (
        "Cannot be decided: 1 network has cells of both models, under different loads."
    )


def test_three_runs_with_events_enough_are_not_no_run(tmp_path: Path) -> None:
    write(tmp_path, CENTRALIZED, "single-switch-5hosts", events=120)
    write(tmp_path, DECENTRALIZED, "single-switch-5hosts", events=99)
    assert sentences(tmp_path)[1] == (
        "Cannot be decided: no network has 100 events in every run of both models, which "
        "p99 needs."
    )


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        (["ok", "ok"], "2 cells on 2 networks, none failed."),
        (
            [None, None],
            "2 cells on 2 networks, with unknown outcome.",
        ),
        (
            ["ok", None],
            "2 cells on 2 networks, none of the 1 with a recorded outcome failed.",
        ),
        (["failed", "ok"], "2 cells on 2 networks, 1 failed."),
        (
            ["failed", None],
            "2 cells on 2 networks, 1 of the 1 with a recorded outcome failed.",
        ),
    ],
)
def test_outcomes_are_of_those_who_recorded_them(
    tmp_path: Path, outcomes: list[str | None], told: str
) -> None:
    for outcome, hosts in zip(outcomes, (5, 9), strict=True):
        name = f"single-switch-{hosts}hosts"
        write(tmp_path, CENTRALIZED, name, runs=1, outcome=outcome)
    assert summary(tmp_path) == told


def test_a_failed_run_of_a_cell_that_did_not_fail_is_told(tmp_path: Path) -> None:
    write(tmp_path, CENTRALIZED, "single-switch-5hosts", runs=2)
    record = tmp_path / "data/centralized/single-switch-5hosts/run-2/cell.json"
    record.write_text('{"format": 1, "outcome": "failed", "run": 2}')
    assert summary(tmp_path) == (
        "1 cell on 1 network, none failed, but 1 run of them did."
    )


def test_a_footnote_counts_the_rows_that_are_no_latencies(tmp_path: Path) -> None:
    network = "single-switch-5hosts"
    write(tmp_path, CENTRALIZED, network, runs=1, events=4, received=9)
    cells = [summary_of(cell) for cell in read_dataset(tmp_path).cells]
    assert not [n for n in compose(cells, ()).footnotes if "without a latency" in n]
    file = tmp_path / "data/centralized" / network / "subscriber-0.csv"
    file.write_text(f"{file.read_text()}10.0.0.2:5556,A,nan\n")
    cells = [summary_of(cell) for cell in read_dataset(tmp_path).cells]
    assert (
        "Received without a latency that is a number: 1 event, in no percentile."
        in compose(cells, ()).footnotes
    )

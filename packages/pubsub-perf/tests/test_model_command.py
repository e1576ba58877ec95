"""``pubsub-perf model``: words in, a table or JSON out."""

from __future__ import annotations

import json

import pytest

from pubsub_perf.cli import main

WORDS = ["model", "brokers", "--topics=8", "--subscribers=64"]


def test_it_prints_a_table_and_what_it_assumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*WORDS, "--brokers=1,4", "--taken-us=8", "--copy-us=1"]) == 0
    said = capsys.readouterr().out
    assert "64 subscribers of 1 topic each, 8 topics (uniform)" in said
    assert "8 us to receive an event and 1 us for each copy (a = 8.0)" in said
    rows = [line.split()[:2] for line in said.splitlines() if line[:1] == " "]
    assert rows == [["1", "own"], ["1", "split"], ["4", "own"], ["4", "split"]]
    assert "The registry, with 4 brokers:" in said
    assert "This assumes:" in said


def test_json_has_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--popularity=zipf", "--payload=16384", "--publishers=6", "--json"]
    assert main([*WORDS, *words, "--brokers=4,2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["workload"]["popularity"] == "zipf"
    points = [(each["brokers"], each["forwarding"]) for each in found["points"]]
    assert points == [(2, "own"), (2, "split"), (4, "own"), (4, "split")]
    assert all(each["events_per_s"] > 0 for each in found["points"])
    assert found["registry"]["join_s"] > 0
    assert found["assumptions"]


def test_data_beyond_the_quota_of_etcd_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*WORDS[:3], "--subscribers=50000000", "--brokers=2"]) == 0
    assert "more than etcd's quota of 2,048.0 MiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--brokers=two"], "--brokers takes comma-sep"),
        (["--brokers=0"], "brokers"),
        (["--popularity=odd"], "choose from uniform, zipf"),
        (["--copy-us=x"], "--copy-us: 'x' is not a number of microseconds"),
        (["--taken-us=0"], "costs must be more than 0"),
        (["--topics-each=9"], "topics each can be at most 8"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_it_models_brokers_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["model", "publishers"])
    assert ended.value.code == 2
    assert "model brokers" in capsys.readouterr().err

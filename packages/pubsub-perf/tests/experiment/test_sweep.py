"""Sweeps, with hosts that fail on purpose and with real roles on local hosts."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.etcd_servers import needs_etcd

from pubsub_common.errors import ConfigError
from pubsub_common.measurement.latency_file import HEADER
from pubsub_common.testing import wait_for
from pubsub_perf.experiment import interrupts, sweep
from pubsub_perf.experiment.sweep import Result, cell_folder, run_sweep
from pubsub_perf.hosts import HostError
from pubsub_perf.hosts.local import LocalHosts
from pubsub_perf.plan import cases as plan
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Case, Load
from pubsub_perf.plan.topologies import Network
from pubsub_perf.results.dataset import read_dataset

QUICK = Load(events=6, interval_s=0.02, warmup_events=0)


class Quiet:
    """A `Progress` that keeps its calls."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.results: list[Result] = []

    def begin(self, case: Case) -> None:
        pass

    def step(self, what: str) -> None:
        self.steps.append(what)

    def end(self, result: Result) -> None:
        self.results.append(result)


class BrokenHosts(LocalHosts):
    """Hosts with another network than requested."""

    def check(self, pairs: Sequence[tuple[int, int]]) -> dict[str, object]:
        raise HostError("host h3 does not answer a ping")


def cases(load: Load = QUICK, models: tuple[str, ...] = plan.MODELS) -> list[Case]:
    return plan.cases(models, [topologies.single_switch(4)], load)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def breaks(yes: bool) -> None:
        def open_hosts(kind: str, network: Network, load: Load) -> LocalHosts:
            return BrokenHosts(network) if yes else LocalHosts(network)

        monkeypatch.setattr(sweep, "open_hosts", open_hosts)

    return breaks


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("model", plan.MODELS)
def test_a_cell_leaves_data_files_and_a_record(tmp_path: Path, model: str) -> None:
    load = Load(events=6, interval_s=0.02, topics=2, warmup_events=1)
    network = topologies.tree(2, 3)  # 9 hosts: 4 publishers, 4 subscribers
    (case,) = plan.cases([model], [network], load)
    (result,) = run_sweep([case], "local", tmp_path, Quiet())
    folder = tmp_path / "data" / model / "tree-d2f3-9hosts"
    record = json.loads((folder / "cell.json").read_text())
    assert not result.failed, record["reason"]
    assert (record["model"], record["outcome"]) == (model, "ok")
    assert (record["expected"], record["received"], record["lost"]) == (64, 64, 0)
    assert record["parameters"]["events"] == 6
    assert record["commands"]["subscriber-1"][:3] == ["pubsub-subscriber", "-t", "B"]
    assert record["versions"]["pubsub-perf"] == "0.1.0"
    for index, item in enumerate(record["subscribers"]):
        header, *data = rows(folder / f"subscriber-{index}.csv")
        assert tuple(header) == HEADER
        assert len(data) == item["received"] == 16
        publishers = {f"{host}:5556" for host in record["hosts"]["publishers"]}
        assert {row[0] for row in data} == publishers
        assert {row[1] for row in data} == set(item["topics"])
        assert all(0 < float(row[2]) < 10 for row in data)


def test_finished_cells_are_skipped_and_failed_ones_are_not(
    tmp_path: Path, broken: Callable[[bool], None]
) -> None:
    broken(True)
    failed = run_sweep(cases(), "local", tmp_path, Quiet())
    assert [result.failed for result in failed] == [True, True]
    reasons = {result.record["reason"] for result in failed}
    assert reasons == {"host h3 does not answer a ping"}
    broken(False)
    again = run_sweep(cases(), "local", tmp_path, Quiet())
    assert [(r.failed, r.skipped) for r in again] == [(False, False)] * 2
    before = {r.case.name: r.record["started"] for r in again}
    broken(True)  # would fail if it ran
    again = run_sweep(cases(), "local", tmp_path, Quiet())
    assert [(r.failed, r.skipped) for r in again] == [(False, True)] * 2
    assert {r.case.name: r.record["started"] for r in again} == before
    forced = run_sweep(cases(), "local", tmp_path, Quiet(), force=True)
    assert [result.failed for result in forced] == [True, True]


def test_a_cell_of_other_parameters_is_not_replaced_unasked(
    tmp_path: Path, broken: Callable[[bool], None]
) -> None:
    broken(False)
    run_sweep(cases(models=("centralized",)), "local", tmp_path, Quiet())
    other = cases(
        Load(events=7, interval_s=0.02, warmup_events=0), models=("centralized",)
    )
    data = cell_folder(tmp_path, other[0]) / "subscriber-0.csv"
    before = data.read_bytes()
    with pytest.raises(ConfigError, match="events 6 there, 7 asked"):
        run_sweep(other, "local", tmp_path, Quiet())
    assert data.read_bytes() == before


@pytest.mark.parametrize("model", plan.MODELS)
def test_a_cell_of_a_group_says_what_each_broker_did(
    tmp_path: Path, model: str
) -> None:
    needs_etcd()
    load = Load(events=6, interval_s=0.02, warmup_events=0, brokers=2)
    (case,) = plan.cases([model], [topologies.single_switch(5)], load)
    (result,) = run_sweep([case], "local", tmp_path, Quiet())
    record = result.record
    assert not result.failed, record["reason"]
    assert (record["expected"], record["received"]) == (24, 24)
    assert record["parameters"]["brokers"] == 2
    places = record["hosts"]
    assert len({*places["brokers"], places["etcd"], *places["publishers"]}) == 5
    brokers = record["group"]["brokers"]
    assert [each["address"] for each in brokers] == places["brokers"]
    assert sum(each["clients"] for each in brokers) == 4
    assert all(each["cpu_s"] >= 0 for each in brokers)
    assert record["group"]["etcd"]["cpu_s"] >= 0
    told = record["commands"]["subscriber-0"]
    assert ",".join(places["brokers"]) in told
    folder = cell_folder(tmp_path, case)
    assert not list(folder.rglob("*.wal"))  # etcd leaves nothing behind
    assert (folder / "logs" / "etcd.log").is_file()


SECURE = dataclasses.replace(QUICK, secure=True)


def test_a_secure_sweep_makes_keys_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    found = run_sweep(cases(SECURE), "local", out, Quiet())
    assert [result.case.model for result in found] == list(plan.MODELS)
    for result in found:
        record = json.loads((cell_folder(out, result.case) / "cell.json").read_text())
        assert not result.failed, record["reason"]
        assert (record["received"], record["lost"]) == (12, 0)
        assert record["parameters"]["secure"] is True
        # Each role has keys of its own, outside of the results.
        commands = record["commands"]
        folder = Path(commands["broker"][commands["broker"].index("--secure") + 1])
        assert folder.parent == temporary
        for name in ("publisher-0", "publisher-1", "subscriber-0"):
            words = commands[name]
            assert words[words.index("--keys") + 1] == str(folder / f"{name}.keys")
        log = cell_folder(out, result.case) / "logs" / "broker.log"
        assert "secure" in log.read_text()
    assert not list(temporary.iterdir())
    assert not [path for path in out.rglob("*") if path.suffix in (".keys", ".toml")]
    # Finished cells need no keys.
    monkeypatch.setattr(sweep, "keys_for", lambda cases: nullcontext(list(cases) and 1))
    again = run_sweep(cases(SECURE), "local", out, Quiet())
    assert [(r.failed, r.skipped) for r in again] == [(False, True)] * 2


def test_secure_and_plain_cells_do_not_take_turns(
    tmp_path: Path, broken: Callable[[bool], None]
) -> None:
    broken(False)
    (done,) = run_sweep(cases(models=("centralized",)), "local", tmp_path, Quiet())
    assert done.record["parameters"]["secure"] is False
    secure = cases(SECURE, ("centralized",))
    with pytest.raises(ConfigError, match="secure False there, True asked"):
        run_sweep(secure, "local", tmp_path, Quiet())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_secure_sweep_leaves_no_keys(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = sweep_process(out, "--events=100000", "--secure")
    try:
        wait_for(lambda: len(roles_of(out)) == 4, "the start of four roles")
        assert list(temporary.rglob("broker.keys"))
        process.send_signal(number)
        process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert not list(temporary.iterdir())


def script(folder: Path, body: str) -> str:
    path = folder / "role.py"
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o755)
    return str(path)


def test_a_role_that_dies_fails_the_cell_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = script(tmp_path, "raise SystemExit('the disk is on fire')")
    monkeypatch.setattr("pubsub_perf.hosts.local.script", lambda _name: dying)
    (result,) = run_sweep(
        cases(models=("centralized",)), "local", tmp_path / "out", Quiet()
    )
    assert result.failed
    assert "the disk is on fire" in result.record["reason"]


def test_a_subscriber_that_misses_events_writes_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Subscribers that wait for one event more than is ever sent.
    monkeypatch.setattr(Case, "expected", lambda self, index: 13)
    monkeypatch.setattr(plan, "MIN_DEADLINE_S", 0.5)
    load = Load(events=6, interval_s=0.02, wait_factor=1, warmup_events=0)
    (result,) = run_sweep(cases(load, ("decentralized",)), "local", tmp_path, Quiet())
    record = result.record
    assert not result.failed, record["reason"]
    assert (record["expected"], record["received"], record["lost"]) == (13, 12, 1)


def sweep_process(out: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pubsub_perf", "sweep", "--hosts=local"]
    axes = ["--topology=single-switch", "--switch-hosts=4", f"--out={out}"]
    return subprocess.Popen([*command, *axes, *words], stderr=subprocess.PIPE)


def roles_of(out: Path) -> list[Any]:
    """Processes that run in the sweep's folder."""
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if cwd.readlink().is_relative_to(out):
                found.append(cwd)
        except OSError:
            continue  # it has ended, or is not ours
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_sweep_leaves_no_process_and_a_cell_that_is_no_data(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = sweep_process(tmp_path, "--events=100000")
    try:
        # Broker, two publishers, a subscriber.
        wait_for(lambda: len(roles_of(tmp_path)) == 4, "the start of four roles")
        broker_log = tmp_path / "data/centralized/single-switch-4hosts/logs/broker.log"
        wait_for(
            lambda: broker_log.read_text().count(" joined") == 3, "the registrations"
        )
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not roles_of(tmp_path), "the end of the roles")
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
    assert process.returncode == expected[number]
    assert b"Traceback" not in said
    record = json.loads((broker_log.parents[1] / "cell.json").read_text())
    assert (record["outcome"], record["model"]) == ("started", "centralized")
    with pytest.raises(ConfigError, match=r"the run was started .* and has not ended"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_an_interrupt_whose_exception_was_lost_is_found_again(
    number: signal.Signals,
    expected: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "_received", None)
    interrupts.check()
    with contextlib.suppress(expected):
        interrupts._handle(number, None)
    with pytest.raises(expected):
        interrupts.check()


def test_a_sweep_with_a_failed_cell_ends_with_1(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "centralized" / "single-switch-4hosts"
    (folder / "logs").mkdir(parents=True)
    # The subscriber cannot write where a folder has its file's name.
    (folder / "subscriber-0.csv").mkdir()
    process = sweep_process(tmp_path, "--events=5", "--interval=0.02")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == "pubsub-perf: 1 of 2 cells failed"
    record = json.loads((folder / "cell.json").read_text())
    assert record["outcome"] == "failed"
    assert "subscriber-0" in record["reason"]


def test_a_users_settings_are_not_those_of_a_sweeps_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_BROKER", "127.0.0.9:1")
    monkeypatch.setenv("PUBSUB_CONFIG", str(tmp_path / "missing.toml"))
    monkeypatch.setenv("PUBSUB_KEYS", str(tmp_path / "missing.keys"))
    for words in ([], ["--secure", "--force"]):
        process = sweep_process(tmp_path, "--events=5", "--interval=0.02", *words)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()

"""The files that run a broker as a service, and the commands in docs/operations.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.broker_reports import in_group, report
from support.documents import own_network
from support.ipv6 import needs_ipv6
from support.paths import ROOT
from support.ports import free_port

from pubsub_broker.cli import PROGRAM, USAGE, config_of, main
from pubsub_broker.commands.check import USAGE as CHECK_USAGE
from pubsub_broker.monitoring import prometheus
from pubsub_common.cli import console_script
from pubsub_common.protocol.messages import (
    ClientStatus,
    Latency,
    RegistryStatus,
    Status,
)

PROGRAMS = Path(sys.executable).parent
UNIT = ROOT / "scripts/systemd/pubsub-broker.service"
DOCKER = ROOT / "scripts/docker"
DASHBOARD = ROOT / "scripts/grafana/pubsub-broker.json"
OPERATIONS = ROOT / "docs/operations.md"
WAIT_S = 60


# systemd


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze")
    unit = tmp_path / UNIT.name
    # Where it is installed here; systemd looks whether it is there.
    unit.write_text(UNIT.read_text().replace("/opt/pubsub/bin", str(PROGRAMS)))

    done = subprocess.run(
        [program, "verify", unit], capture_output=True, text=True, timeout=WAIT_S
    )

    # Others' units, which it reads too, may have something wrong with them.
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (said, done.returncode) == ([], 0), done.stderr


def words_of(name: str, **variables: str) -> list[str]:
    """A command of the unit, as systemd makes words of it: ``${A}`` is one, ``$A`` as
    many as there are in it."""
    words: list[str] = []
    for word in setting(name)[0].split():
        one = re.fullmatch(r"\$\{(\w+)\}", word)
        many = re.fullmatch(r"\$(\w+)", word)
        if one:
            words.append(variables[one[1]])
        else:
            words += variables.get(many[1], "").split() if many else [word]
    return words


def defaults_of_the_unit() -> dict[str, str]:
    """The variables that it sets."""
    words = [word for line in setting("Environment") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def test_the_units_commands_have_options_that_exist() -> None:
    values = defaults_of_the_unit()
    words = words_of("ExecStart", **values)
    options = console_script.parse(USAGE, words[1:], PROGRAM, "1")
    assert options["--state"] == "%S/pubsub-broker/clients"
    assert options["--secure"] is None
    assert setting("StateDirectory") == ["pubsub-broker"]

    registry = "--registry etcd://10.0.0.1,10.0.0.2 --group lab --registry-tls tls"
    grouped = values | {"PUBSUB_STATE": "", "PUBSUB_REGISTRY": registry}
    words = words_of("ExecStart", **grouped)
    options = console_script.parse(USAGE, words[1:], PROGRAM, "1")
    config_of(options).validate()
    assert options["--group"] == "lab"

    words = words_of("ExecStartPost", **values)
    options = console_script.parse(CHECK_USAGE, words[1:], f"{PROGRAM} check", "1")
    # systemd waits longer than it.
    assert float(options["--timeout"]) < 90
    assert "%" not in " ".join(words)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
        ("CapabilityBoundingSet", ""),
    ],
)
def test_the_unit_gives_no_more_rights_than_needed(name: str, value: str) -> None:
    assert setting(name) == [value]


@pytest.mark.parametrize(
    ("secure", "address"),
    [
        (False, "127.0.0.1"),
        (True, "0.0.0.0"),
        pytest.param(False, "::", marks=needs_ipv6),
    ],
)
def test_the_units_commands_start_a_broker_and_see_it_answer(
    tmp_path: Path, secure: bool, address: str
) -> None:
    port = str(free_port())
    place = {"PUBSUB_ADDRESS": address, "PUBSUB_PORT": port}
    values = defaults_of_the_unit() | place
    if secure:
        assert main(["keygen", str(tmp_path / "keys")]) == 0
        values["PUBSUB_SECURE"] = f"--secure {tmp_path}/keys"
    start, check = (
        [
            word.replace("/opt/pubsub/bin", str(PROGRAMS)).replace("%S", str(tmp_path))
            for word in words_of(name, **values)
        ]
        for name in ("ExecStart", "ExecStartPost")
    )
    (tmp_path / "pubsub-broker").mkdir()  # as StateDirectory does

    broker = subprocess.Popen(start, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run(check, capture_output=True, text=True, timeout=WAIT_S)
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        broker.kill()
        broker.wait()


NO_WRITABLE_CODE = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_broker_needs_no_memory_to_write_and_execute() -> None:
    words = ["-m", "pubsub_broker", "-c", "-m", "1", "--port", "0"]
    broker = subprocess.Popen(
        [sys.executable, "-c", NO_WRITABLE_CODE, sys.executable, *words],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert broker.stderr is not None
        line = broker.stderr.readline()
        if not line and broker.wait(WAIT_S) == 77:
            pytest.skip("this kernel cannot refuse such memory for a process")
        port = line.strip().rpartition(":")[2]
        done = subprocess.run(
            [sys.executable, "-m", "pubsub_broker", "check", "--broker-port", port],
            timeout=WAIT_S,
        )
        assert done.returncode == 0
    finally:
        broker.kill()
        broker.communicate()


# Grafana


def test_the_dashboard_shows_figures_that_exist() -> None:
    client = ClientStatus(
        role="subscriber",
        session=1,
        address="s",
        topics=["A"],
        idle_s=0,
        lost={"A": 1},
        latency=Latency(count=1, p50_ns=1, p99_ns=1, max_ns=1),
    )
    rated = ClientStatus(
        role="publisher", session=2, address="p", topics=["A"], idle_s=0, rates={"A": 1}
    )
    status = in_group(report(client, rated), "10.0.0.1:5555")
    text = prometheus.exposition(status)[1].decode()
    exist = set(re.findall(r"^(pubsub_broker_\w+)", text, re.M))
    labels = set(re.findall(r"[{,](\w+)=", text)) | {"job", "instance"}

    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    asked = " ".join(t["expr"] for panel in panels for t in panel["targets"])

    assert set(re.findall(r"pubsub_broker_\w+", asked)) <= exist
    assert set(re.findall(r"[{,](\w+)=", asked)) <= labels
    assert len({panel["id"] for panel in panels}) == len(panels) > 8
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert set(re.findall(r'"\$(\w+)"', asked)) <= variables


# docs/operations.md


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", OPERATIONS.read_text(), re.M | re.S)


@pytest.mark.parametrize("block", shell_blocks())
def test_the_shell_commands_work(block: str, tmp_path: Path) -> None:
    if "curl " in block and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    done = subprocess.run(
        [*own_network(), "bash", "-eu", "-c", block],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "answers, up for " in done.stdout


def test_there_are_commands_to_run() -> None:
    assert len(shell_blocks()) == 2


def test_options_and_files_that_it_names_exist() -> None:
    text = OPERATIONS.read_text()
    for path in re.findall(r"`(scripts/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    assert "-f scripts/docker/Dockerfile" in text
    for option in ("--http", "--metrics-port", "--log-format", "--state", "--watch"):
        assert option in text
    registry = RegistryStatus(group="lab", cut_off=False, cut_off_s=0)
    status = Status(id=1, epoch=1, model="centralized", uptime_s=1, registry=registry)
    figures = prometheus.exposition(status)[1].decode()
    for name in re.findall(r"^# HELP (\S+)", figures, re.M):
        assert re.search(rf"`{name}\b", text), name

"""The image of a broker in a container, and the brokers that Compose starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.etcd_servers import needs_etcd
from support.paths import ROOT
from support.ports import free_port

from pubsub_broker.cli import PROGRAM, USAGE, config_of
from pubsub_broker.commands.check import USAGE as CHECK_USAGE
from pubsub_common.cli import console_script
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

PROGRAMS = Path(sys.executable).parent
DOCKER = ROOT / "scripts/docker"
DOCKERFILE = DOCKER / "Dockerfile"
WAIT_S = 60
# Base images come over the network, and the build installs packages.
BUILD_S = 900
IMAGE: Final = f"pubsub-broker-test-{os.getpid()}"


def instructions() -> list[tuple[str, str]]:
    """The names and the arguments of the Dockerfile's instructions, in order."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.split(None, 1)[1]) for line in lines if line.strip()]


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("there is no hadolint")
    done = subprocess.run(
        [program, DOCKER / "Dockerfile"], capture_output=True, text=True, timeout=WAIT_S
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_image_is_slim_and_runs_without_root() -> None:
    found = instructions()
    stages = [index for index, (name, _) in enumerate(found) if name == "FROM"]
    assert len(stages) == 2
    last = found[stages[1] :]

    assert re.fullmatch(r"python:3\.\d+-slim-\w+", last[0][1])
    names = [name for name, _ in last]
    assert dict(last)["USER"] == "10001:10001"
    # Nothing that root does comes later.
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :])
    assert any(
        what.startswith("--from=build ") for name, what in last if name == "COPY"
    )
    assert "pip install" not in " ".join(what for _, what in last)


def test_the_images_health_is_what_check_says() -> None:
    found = dict(instructions())

    assert found["ENTRYPOINT"] == '["pubsub-entrypoint"]'
    options, _, command = found["HEALTHCHECK"].partition("CMD ")
    entry, check, *words = json.loads(command)
    assert (entry, check) == ("pubsub-entrypoint", "check")
    asked = console_script.parse(
        CHECK_USAGE, ["check", *words], f"{PROGRAM} check", "1"
    )
    # Docker gives up later than the command does.
    assert float(asked["--timeout"]) < int(re.findall(r"--timeout=(\d+)s", options)[0])
    console_script.parse(USAGE, json.loads(found["CMD"]), PROGRAM, "1")


def test_all_that_is_copied_is_there_and_in_the_context() -> None:
    kept = [
        line[1:]
        for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for name, what in instructions()
        if name == "COPY" and not what.startswith("--from")
        for source in what.split()[:-1]
    ]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / source).exists() for source in copied)
    assert os.access(DOCKER / "entrypoint.sh", os.X_OK)


@pytest.fixture
def entrypoint(tmp_path: Path) -> Callable[..., list[str]]:
    """The words of the command that the entry point runs."""
    program = tmp_path / PROGRAM
    real = Path(sys.executable).with_name(PROGRAM)
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--print-config) exec {real} "$@" ;; esac\n'
        'printf "%s\\n" "$@"\n'
    )
    program.chmod(0o755)

    def words_of(*words: str, **variables: str) -> list[str]:
        done = subprocess.run(
            [DOCKER / "entrypoint.sh", *words],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}"} | variables,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=True,
        )
        return done.stdout.splitlines()

    return words_of


def test_the_entry_point_serves_all_addresses(
    entrypoint: Callable[..., list[str]],
) -> None:
    words = entrypoint("--centralized")
    config = config_of(console_script.parse(USAGE, words, PROGRAM, "1"))
    assert (config.host, config.port, config.centralized) == ("0.0.0.0", 5555, True)
    exposed = dict(instructions())["EXPOSE"].split()
    assert exposed == ["5555", "5560-5569"]
    assert config.forward_ports == range(5560, 5570)
    assert config.advertised is None

    words = entrypoint(
        "-c",
        PUBSUB_ADDRESS="::",
        PUBSUB_PORT="7000",
        PUBSUB_FORWARD_PORT="7001",
        PUBSUB_ADVERTISE="nat.example:80",
    )
    config = config_of(console_script.parse(USAGE, words, PROGRAM, "1"))
    assert (config.host, config.port) == ("[::]", 7000)
    assert config.forward_ports == range(7001, 7002)
    assert config.advertised == ("nat.example", 80)


def test_the_entry_point_gives_ports_for_events_to_brokers_that_forward(
    entrypoint: Callable[..., list[str]], tmp_path: Path
) -> None:
    place = ["--bind", "0.0.0.0", "--port", "5555"]
    assert entrypoint() == place
    assert entrypoint("--log-format", "json") == [*place, "--log-format", "json"]

    file = tmp_path / "settings.toml"
    file.write_text("[broker]\ncentralized = true\n")
    ports = ["--forward-port", "5560-5569"]
    assert entrypoint(PUBSUB_CONFIG=str(file)) == [*place, *ports]
    for words in (["-vc"], ["--cent"], ["--config", str(file)]):
        assert entrypoint(*words) == [*place, *ports, *words]

    # A forgotten -c is not silent.
    words = entrypoint(PUBSUB_FORWARD_PORT="6000")
    with pytest.raises(SystemExit):
        console_script.parse(USAGE, words, PROGRAM, "1")


@pytest.mark.parametrize(
    ("served", "asked"),
    [("", "0.0.0.0"), ("::", "::"), ("10.0.0.1", "10.0.0.1")],
)
def test_check_and_status_ask_the_broker_of_the_container(
    entrypoint: Callable[..., list[str]], served: str, asked: str
) -> None:
    for command in ("check", "status"):
        words = entrypoint(command, "--json", PUBSUB_ADDRESS=served, PUBSUB_PORT="7")
        place = ["--broker-address", asked, "--broker-port", "7"]
        assert words == [command, *place, "--json"]


def test_the_entry_point_runs_and_checks_a_broker(
    broker_process: Callable[..., Any],
) -> None:
    port = str(broker_process().port)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DOCKER / "entrypoint.sh", *words],
            env=os.environ
            | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PUBSUB_PORT": port},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )

    checked = run("check", "--timeout", "30")
    assert checked.returncode == 0
    assert f" at 127.0.0.1:{port} answers" in checked.stdout
    assert json.loads(run("status", "--json").stdout)["model"] == "decentralized"
    # The port is taken, which shows that it would have been this one.
    assert f"0.0.0.0:{port}" in run("--centralized").stderr


# The image, where there is a tool for containers


# The address of the machine in the network of a container.
GATEWAY: Final = """
import socket, struct
rows = [line.split() for line in open("/proc/net/route")]
gateway = next(row[2] for row in rows if row[1] == "0" * 8)
print(socket.inet_ntoa(struct.pack("<L", int(gateway, 16))))
"""


def run_tool(*words: str | Path, timeout: float = WAIT_S) -> str:
    """What a command prints; the test fails with what it says if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout.strip()


def container_tool() -> str:
    """A tool that can build and run images here, docker or podman."""
    reasons = []
    for name in ("docker", "podman"):
        if shutil.which(name) is None:
            reasons.append(f"there is no {name}")
            continue
        done = subprocess.run(
            [name, "info"], capture_output=True, text=True, timeout=WAIT_S
        )
        if done.returncode == 0:
            return name
        reasons.append(f"{name} info: {done.stderr.strip().splitlines()[-1:]}")
    pytest.skip("; ".join(reasons))


def needs_base_images(tool: str) -> None:
    """Skip where the images that ours begins with cannot be had."""
    for base in {what.split()[0] for name, what in instructions() if name == "FROM"}:
        for command in (["image", "inspect", base], ["pull", base]):
            done = subprocess.run(
                [tool, *command], capture_output=True, text=True, timeout=BUILD_S
            )
            if done.returncode == 0:
                break
        else:
            pytest.skip(f"{tool} pull {base}: {done.stderr.strip()[-300:]}")


@contextlib.contextmanager
def running_container(tool: str, *options: str) -> Iterator[str]:
    name = run_tool(tool, "run", "--detach", *options, IMAGE)
    try:
        yield name
    finally:
        subprocess.run(
            [tool, "rm", "--force", name], capture_output=True, timeout=WAIT_S
        )


@pytest.mark.timeout(2 * BUILD_S)
def test_the_image_forwards_events_through_published_ports() -> None:
    tool = container_tool()
    needs_base_images(tool)
    run_tool(tool, "build", "-f", DOCKERFILE, "-t", IMAGE, ROOT, timeout=BUILD_S)
    control, forward = free_port(), free_port()
    published = [f"--publish={control}:5555", f"--publish={forward}:{forward}"]
    try:
        with running_container(
            tool, *published, f"--env=PUBSUB_FORWARD_PORT={forward}"
        ) as name:
            check = ("pubsub-entrypoint", "check", "--wait", "--timeout", "30")
            run_tool(tool, "exec", name, *check)
            gateway = run_tool(tool, "exec", name, "python", "-c", GATEWAY)
            with (
                Subscriber(
                    broker_address=f"127.0.0.1:{control}", topics=["A"]
                ) as subscriber,
                Publisher(
                    f"127.0.0.1:{control}",
                    ["A"],
                    bind="0.0.0.0",
                    bind_port=0,
                    address=gateway,
                ) as publisher,
            ):
                publisher.wait_for_subscribers(1, WAIT_S)
                publisher.publish_event("A", "sunny")
                event = subscriber.receive(WAIT_S)
                assert event is not None
                assert event.payload == b"sunny"
    finally:
        subprocess.run(
            [tool, "rmi", "--force", IMAGE], capture_output=True, timeout=WAIT_S
        )


# Docker Compose


def compose_command() -> list[str]:
    """Compose in one of its forms."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(
            [*command, "version"], capture_output=True, timeout=WAIT_S
        )
        if done.returncode == 0:
            return command
    pytest.skip("there is neither docker compose nor docker-compose")


def test_compose_understands_the_file() -> None:
    command = [*compose_command(), "-f", str(DOCKER / "compose.yaml"), "config"]
    run_tool(*command, "--quiet")
    assert set(run_tool(*command, "--services").split()) == set(services())


def services() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="there is no PyYAML: make install")
    text = (DOCKER / "compose.yaml").read_text()
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return found


def test_the_composed_brokers_are_one_group_of_all_members() -> None:
    found = services()
    members = [name for name in found if name.startswith("etcd-")]
    brokers = [found[name] for name in found if name.startswith("broker-")]
    assert len(members) == len(brokers) == 3
    for broker in brokers:
        assert broker["depends_on"] == members
        assert (DOCKER / broker["build"]["context"]).resolve() == ROOT
        assert (ROOT / broker["build"]["dockerfile"]).is_file()
        words = ["--bind=0.0.0.0", "--advertise=broker-1", *broker["command"]]
        options = console_script.parse(USAGE, words, PROGRAM, "1")
        config_of(options)
        assert options["--registry"] == f"etcd://{','.join(members)}"
    for name in found:
        if name.startswith("broker-"):
            assert found[name]["environment"] == {"PUBSUB_ADVERTISE": name}


def test_the_composed_members_know_each_other() -> None:
    found = services()
    members = {name: each for name, each in found.items() if name.startswith("etcd-")}
    cluster = ",".join(f"{name}=http://{name}:2380" for name in members)
    for name, member in members.items():
        settings = member["environment"]
        assert settings["ETCD_NAME"] == name
        assert settings["ETCD_INITIAL_CLUSTER"] == cluster
        assert settings["ETCD_INITIAL_ADVERTISE_PEER_URLS"] == f"http://{name}:2380"
        assert settings["ETCD_ADVERTISE_CLIENT_URLS"] == f"http://{name}:2379"


def test_etcd_has_the_settings_that_are_given_to_it() -> None:
    needs_etcd()
    done = subprocess.run(
        ["etcd", "--help"], capture_output=True, text=True, timeout=30
    )
    names = {
        name
        for service, each in services().items()
        if service.startswith("etcd-")
        for name in each["environment"]
    }
    names |= set(
        re.findall(r"^(ETCD_\w+)=", (ROOT / "docs/cluster.md").read_text(), re.M)
    )
    for name in names:
        option = name.removeprefix("ETCD_").lower().replace("_", "-")
        assert f"--{option} " in done.stdout + done.stderr, name

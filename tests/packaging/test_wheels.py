"""The wheels that users install, each in a new virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from support.paths import ROOT

NAMES = ("common", "broker", "publisher", "subscriber", "perf")
# Builds, downloads and installs take longer than a test may, on a busy machine.
pytestmark = pytest.mark.timeout(900)
STEP_S = 400
SCRIPTS = {
    "common": ["pubsub-conformance"],
    "broker": ["pubsub-broker"],
    "publisher": ["pubsub-publisher"],
    "subscriber": ["pubsub-subscriber"],
    "perf": ["pubsub-driver", "pubsub-perf"],
}


@pytest.fixture(scope="module")
def dist() -> Path:
    """The result of ``make build``, which does nothing when all is built."""
    # Not this test run's own environment: a developer's shell has none of it.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    subprocess.run(["make", "build"], cwd=ROOT, env=env, check=True, timeout=STEP_S)
    return ROOT / "dist"


def wheel(dist: Path, name: str) -> Path:
    (found,) = dist.glob(f"pubsub_{name}-*.whl")
    return found


def source_archive(dist: Path, name: str) -> Path:
    (found,) = dist.glob(f"pubsub_{name}-*.tar.gz")
    return found


def metadata(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        return archive.read(name).decode()


def new_environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin"


def pip_install(bin_folder: Path, dist: Path, name: str) -> None:
    subprocess.run(
        [
            bin_folder / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--find-links",
            dist,
            name,
        ],
        check=True,
        timeout=STEP_S,
    )


@pytest.mark.parametrize("name", NAMES)
def test_wheels_hold_no_path_and_ask_for_their_siblings_by_version(
    dist: Path, name: str
) -> None:
    text = metadata(wheel(dist, name))
    assert "file:" not in text
    assert "../" not in text
    assert str(ROOT) not in text
    requires = Parser().parsestr(text).get_all("Requires-Dist") or []
    siblings = {r.split(" ")[0].split("(")[0].split(">")[0] for r in requires}
    siblings = {r for r in siblings if r.startswith("pubsub-")}
    expected = {
        "common": set(),
        "perf": {f"pubsub-{other}" for other in NAMES if other != "perf"},
    }.get(name, {"pubsub-common"})
    assert siblings == expected


@pytest.mark.parametrize("name", NAMES)
def test_wheels_hold_type_marks_and_no_tests(dist: Path, name: str) -> None:
    with zipfile.ZipFile(wheel(dist, name)) as archive:
        names = archive.namelist()
    assert f"pubsub_{name}/py.typed" in names
    assert not [n for n in names if "test_" in n and not n.endswith("_test.py")]


@pytest.mark.parametrize("name", NAMES)
def test_wheels_and_source_archives_hold_the_license(dist: Path, name: str) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    with zipfile.ZipFile(wheel(dist, name)) as archive:
        (path,) = (n for n in archive.namelist() if n.endswith("/licenses/LICENSE"))
        assert archive.read(path) == text
    with tarfile.open(source_archive(dist, name)) as archive:
        (found,) = (m for m in archive.getmembers() if m.name.endswith("/LICENSE"))
        member = archive.extractfile(found)
        assert member is not None
        assert member.read() == text


@pytest.mark.parametrize("name", NAMES)
def test_source_archives_hold_all_tests_of_the_package(dist: Path, name: str) -> None:
    tests = ROOT / "packages" / f"pubsub-{name}" / "tests"
    with tarfile.open(source_archive(dist, name)) as archive:
        held = {m.name.partition("/")[2] for m in archive.getmembers()}
    assert {f"tests/{p.relative_to(tests)}" for p in tests.rglob("*.py")} <= held


def test_tests_run_from_an_unpacked_source_archive(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(source_archive(dist, "publisher")) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/topics"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=STEP_S,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_a_subscriber_alone_installs_with_only_common_beside_it(
    dist: Path, tmp_path: Path
) -> None:
    programs = new_environment(tmp_path / "venv")
    pip_install(programs, dist, "pubsub-subscriber")
    listed = subprocess.run(
        [programs / "python", "-m", "pip", "list", "--format=freeze"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.lower()
    ours = [line.partition("==")[0] for line in listed.split() if "pubsub" in line]
    assert ours == ["pubsub-common", "pubsub-subscriber"]
    for absent in ("numpy", "matplotlib", "mininet"):
        assert absent not in listed
    assert [p.name for p in sorted(programs.glob("pubsub-*"))] == [
        "pubsub-conformance",
        "pubsub-subscriber",
    ]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / "pubsub-subscriber", *words],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )

    assert run("--version").stdout == "pubsub-subscriber 0.1.0\n"
    assert "--filename" in run("--help").stdout
    # It works: it looks for a broker, and ends with a reason after the time that it has.
    done = run(
        "-t", "A", "-b", "127.0.0.1", "--broker-port", "9", "--connect-timeout", "0.3"
    )
    assert done.returncode == 1
    assert "no broker answered at tcp://127.0.0.1:9" in done.stderr


def test_perf_installs_with_everything_and_runs_a_sweep_without_mininet(
    dist: Path, tmp_path: Path
) -> None:
    programs = new_environment(tmp_path / "venv")
    pip_install(programs, dist, "pubsub-perf")
    subprocess.run([programs / "python", "-m", "pip", "check"], check=True)
    scripts = [p.name for p in sorted(programs.glob("pubsub-*"))]
    assert scripts == sorted(s for names in SCRIPTS.values() for s in names)
    # On a machine without Mininet (here: its program's name is unknown), the sweep
    # says so in one line and runs on local hosts.
    without = (
        "import sys; from pubsub_perf import cli; from pubsub_perf.hosts import namespaces;"
        "namespaces.TOOLS['no-such-program'] = 'some-package'; sys.exit(cli.main())"
    )
    done = subprocess.run(
        [programs / "python", "-c", without, "sweep", "--preset=smoke"],
        capture_output=True,
        text=True,
        timeout=STEP_S,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Mininet cannot run here" in done.stderr
    assert "some-package" in done.stderr
    assert "using local hosts" in done.stderr
    found = sorted(p.name for p in (tmp_path / "sweeps").rglob("subscriber-0.csv"))
    assert len(found) == 4

"""Check the wheels and source archives of a release, and install them on each Python.

    python scripts/check_release.py dist

Checks the contents and the metadata of each file. Then it makes a new environment for each
supported Python on this machine, installs all packages there, and passes an event from a
publisher to a subscriber. For a Python that this machine lacks it asks the index whether all
dependencies have wheels. It uploads nothing. Exits with 1 when something is wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
NAMES: Final = ("common", "broker", "publisher", "subscriber", "perf")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
STEP_TIMEOUT_S: Final = 300
# Every release has these fields, and no address of a site that does not exist yet.
FIELDS: Final = {
    "License-Expression": "MIT",
    "License-File": "LICENSE",
    "Author": "The pubsub authors",
    "Requires-Python": ">=3.11",
}

EXCHANGE: Final = """
import threading
from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

with Broker(port=0, indefinite=True) as broker:
    threading.Thread(target=broker.event_loop, daemon=True).start()
    where = {"broker_address": "127.0.0.1", "broker_port": broker.port}
    with (
        Subscriber(topics=["weather"], max_event_count=1, **where) as subscriber,
        Publisher(topics=["weather"], **where) as publisher,
    ):
        publisher.publish_event("weather", b"sunny")
        assert [event.payload for event in subscriber] == [b"sunny"]
"""


def check_wheel(path: Path, name: str, version: str) -> Iterator[str]:
    """The faults of a wheel: its files and its metadata."""
    package, info = f"pubsub_{name}", f"pubsub_{name}-{version}.dist-info"
    with zipfile.ZipFile(path) as archive:
        files = archive.namelist()
        metadata = archive.read(f"{info}/METADATA").decode()
    for file in files:
        if file.partition("/")[0] not in (package, info):
            yield f"{path.name}: {file} is outside the package"
        if re.search(r"(^|/)(tests|__pycache__)/|(^|/)(test_\w+|conftest)\.py$", file):
            yield f"{path.name}: {file} does not belong into a wheel"
    for file in (f"{package}/py.typed", f"{info}/licenses/LICENSE"):
        if file not in files:
            yield f"{path.name}: {file} is missing"
    for fault in check_metadata(Parser().parsestr(metadata), version):
        yield f"{path.name}: {fault}"


def check_metadata(metadata: Message, version: str) -> Iterator[str]:
    """The faults of the metadata of a wheel."""
    for field, value in (FIELDS | {"Version": version}).items():
        if metadata[field] != value:
            yield f"{field} is {metadata[field]!r}, not {value!r}"
    if "Typing :: Typed" not in (metadata.get_all("Classifier") or []):
        yield "the classifier Typing :: Typed is missing"
    major, minor, _ = version.split(".")
    siblings = f"(>={major}.{minor},<{major}.{int(minor) + 1})"
    for wanted in metadata.get_all("Requires-Dist") or []:
        if "file:" in wanted or "../" in wanted:
            yield f"{wanted} is a path of the machine that built it"
        if wanted.startswith("pubsub-") and siblings not in wanted:
            yield f"{wanted} is another version than this one, {siblings}"


def check_source(path: Path, name: str) -> Iterator[str]:
    """The faults of a source archive."""
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2] for member in archive.getmembers()}
    needed = {"LICENSE", "README.md", "PKG-INFO", "pyproject.toml"}
    needed |= {"conftest.py", "pytest.ini", "tests/support/paths.py"}
    for file in sorted(needed | {f"src/pubsub_{name}/py.typed"}):
        if file not in files:
            yield f"{path.name}: {file} is missing"
    if not any(re.match(r"tests/(.+/)?test_\w+\.py$", file) for file in files):
        yield f"{path.name}: it has no tests"


def check_files(dist: Path, version: str) -> Iterator[str]:
    """The faults of a folder of wheels and source archives, and of each file in it."""
    expected = set()
    for name in NAMES:
        wheel = dist / f"pubsub_{name}-{version}-py3-none-any.whl"
        source = dist / f"pubsub_{name}-{version}.tar.gz"
        expected |= {wheel, source}
        if wheel.exists():
            yield from check_wheel(wheel, name, version)
        if source.exists():
            yield from check_source(source, name)
    found = {*dist.glob("*.whl"), *dist.glob("*.tar.gz")}
    for path in sorted(expected ^ found):
        yield f"{path.name}: " + ("missing" if path in expected else "unexpected")


def find_python(version: str) -> str | None:
    """A program that is a Python of this version: of the PATH, or of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*root.glob(f"versions/{version}.*/bin/python{version}")]
    for program in [shutil.which(f"python{version}"), *map(str, sorted(found))]:
        if program is not None:
            words = [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:
                return program
    return None


def try_python(program: str, dist: Path) -> str | None:
    """Install all packages for this Python, and use them. Returns the fault, or None."""
    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder, "bin")
        steps: list[list[str | Path]] = [
            [program, "-m", "venv", folder],
            [*pip(programs / "python"), "install", "--find-links", dist, "pubsub-perf"],
            [*pip(programs / "python"), "check"],
            [programs / "python", "-W", "error", "-c", EXCHANGE],
        ]
        for step in steps:
            if fault := failure(step, Path(folder)):
                return fault
        for script in sorted(programs.glob("pubsub-*")):
            if fault := failure([script, "--version"], Path(folder)):
                return fault
    return None


def failure(words: list[str | Path], folder: Path) -> str | None:
    """Run a command outside of the sources. Returns the reason when it fails."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = f"{Path(words[0]).name} {' '.join(map(str, words[1:3]))}"
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return f"{command}: not finished after {error.timeout:g} s"
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["it printed no reason"])[-1]
    return f"{command}: {last}"


def resolve(version: str, dist: Path) -> str | None:
    """Ask the index for wheels of all dependencies. Returns the fault, or None."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*pip(sys.executable), "install", "--dry-run", "--ignore-installed"]
        words += ["--target", folder, "--only-binary", ":all:"]
        words += ["--python-version", version, "--implementation", "cp"]
        words += ["--find-links", dist.resolve(), "pubsub-perf[parquet]"]
        return failure(words, Path(folder))


def pip(program: str | Path) -> list[str | Path]:
    """The words that start pip."""
    return [program, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def steps_left(version: str) -> list[str]:
    """The steps of a release that only a maintainer does."""
    steps = [f"git tag v{version}", "twine upload dist/*"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(
        rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, re.M
    ):
        steps.insert(0, f"the date of {version} in CHANGELOG.md and CITATION.cff")
    return steps


def main(words: list[str]) -> int:
    """Check, print the results, and return the exit code."""
    dist = Path(words[0]).resolve()
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = workspace["project"]["version"]
    faults = list(check_files(dist, version))
    if not faults:
        print(f"contents: {2 * len(NAMES)} files are as they should be")
    for python in PYTHONS if not faults else ():
        program = find_python(python)
        print(f"Python {python} ...", end=" ", flush=True)
        fault = try_python(program, dist) if program else resolve(python, dist)
        if fault:
            print("failed")
            faults.append(f"Python {python}: {fault}")
        elif program:
            print("installed, and an event arrived")
        else:
            print("not on this machine; all dependencies have wheels")
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    if not faults:
        print(f"Nothing was uploaded. Left to do: {'; '.join(steps_left(version))}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

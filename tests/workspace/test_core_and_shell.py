"""The core stays pure: no socket, no thread, no clock, no file.

The docstring of a folder names its core modules (`support.layers`). Import
contracts (``[tool.importlinter]`` in pyproject.toml) hold everything else about imports.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.layers import FILES, FOLDERS, MODULES, is_core, layer_of

PROGRAMS: Final = {name for name in MODULES if name.endswith(".__main__")}

# Modules with input or output, waiting, or results that differ from run to run.
NOT_IN_CORE: Final = frozenset(
    {
        *("asyncio", "contextvars", "ctypes", "docopt", "fcntl", "gzip", "http"),
        *("io", "jinja2", "logging", "matplotlib", "mininet"),
        *("multiprocessing", "netifaces", "os", "pathlib", "resource"),
        *("rich", "secrets", "select", "selectors", "shutil", "signal", "socket"),
        *("socketserver", "ssl", "subprocess", "tempfile", "threading", "time"),
        "zmq",
    }
)
NO_CALLS: Final = frozenset({"__import__", "eval", "exec", "input", "open", "print"})

CORE: Final = [name for name in MODULES if name not in PROGRAMS and is_core(name)]


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that are imported, also inside functions. Imports for
    types alone never run."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, "imports are absolute"
                for alias in names:
                    full = f"{module}.{alias.name}"
                    yield full if full in MODULES else f"{module}"
        yield from imported(node)


def offences(source: str) -> list[str]:
    """What this code has that a core module must not have."""
    tree = ast.parse(source)
    found = []
    for name in imported(tree):
        top = name.partition(".")[0]
        if top in NOT_IN_CORE:
            found.append(f"imports {name}")
        if (
            top.startswith("pubsub_")
            and f"{name}.__init__" not in FILES
            and name not in CORE
        ):
            found.append(f"imports the shell {name}")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found + [f"uses {name}" for name in sorted(names & NO_CALLS)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_its_layer_and_names_modules_that_exist(folder: str) -> None:
    parent = folder.removesuffix(".__init__")
    assert {f"{parent}.{name}" for name in layer_of(folder)[1]} <= set(MODULES)


@pytest.mark.parametrize("module", CORE)
def test_a_core_module_is_pure(module: str) -> None:
    assert offences(FILES[module].read_text("utf-8")) == []


PLANTED: Final = (
    "import zmq",
    "from time import monotonic",
    "def late() -> None:\n    import threading",
    "open('file')",
    "from pubsub_common.net import sockets",
    "from pubsub_broker.broker import Broker",
)
CORE_FOLDERS: Final = {module.rpartition(".")[0]: module for module in CORE}


@pytest.mark.parametrize("folder", CORE_FOLDERS)
def test_a_violation_in_any_folder_is_found(folder: str) -> None:
    source = FILES[CORE_FOLDERS[folder]].read_text("utf-8")
    for violation in PLANTED:
        assert offences(f"{source}\n{violation}\n"), violation


def test_every_folder_with_code_is_seen() -> None:
    folders = {path.parent for path in FILES.values()}
    assert folders == {FILES[folder].parent for folder in FOLDERS}
    assert len(CORE) > 60


# All modules in one test take longer than a test may on a busy machine.
PARTS: Final = 6

IMPORT_FIRST: Final = """
import importlib, os, sys
libraries, watched, *names = (words.split(",") for words in sys.argv[1:])
for name in filter(None, libraries):
    importlib.import_module(name)
for (name,) in names:
    child = os.fork()
    if not child:
        importlib.import_module(name)
        print(name, *sorted(set(watched) & set(sys.modules)), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name} cannot be imported first")
"""


def import_first(
    tmp_path: Path, names: list[str], libraries: list[str], watched: list[str]
) -> dict[str, set[str]]:
    """Import each module in a process of its own, forked from one that has nothing of
    ours, only ``libraries``; which of the ``watched`` modules each loads."""
    kept = os.environ.get("PYTHONPYCACHEPREFIX", str(tmp_path))
    byte_code = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": kept}
    words = [",".join(libraries), ",".join(watched), *names]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_FIRST, *words],
        capture_output=True,
        text=True,
        env=os.environ | byte_code,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == names
    return {line[0]: set(line[1:]) for line in lines}


def part_of(modules: list[str], number: int) -> list[str]:
    """One of `PARTS` parts of these modules."""
    return [name for name in modules if name not in PROGRAMS][number::PARTS]


@pytest.mark.parametrize("part", range(PARTS))
def test_each_module_of_the_roles_can_be_imported_first_and_loads_little(
    tmp_path: Path, part: int
) -> None:
    heavy = ["zmq", "socket", "asyncio", "subprocess", "docopt", "netifaces"]
    roles = [name for name in MODULES if not name.startswith("pubsub_perf")]
    names = part_of(roles, part)
    for name, loaded in import_first(tmp_path, names, [], heavy).items():
        assert not loaded & {"docopt", "netifaces"}, f"{name}: only where they are used"
        if name in CORE:
            assert not loaded, name


@pytest.mark.parametrize("part", range(PARTS))
def test_each_module_of_perf_can_be_imported_first(tmp_path: Path, part: int) -> None:
    libraries = ["jinja2", "matplotlib.pyplot", "msgspec", "numpy", "rich.live"]
    libraries += ["scipy.optimize", "scipy.stats", "zmq"]
    perf = [name for name in MODULES if name.startswith("pubsub_perf")]
    assert import_first(tmp_path, part_of(perf, part), libraries, [])

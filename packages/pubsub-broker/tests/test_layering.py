"""The core stays free of input and output, and packages do not import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pubsub_broker

PACKAGE = Path(pubsub_broker.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

CORE = [
    "admission",
    "author",
    "budgets",
    "channels",
    "core",
    "directory",
    "exposure",
    "keyring",
    "leaving",
    "limiter",
    "losses",
    "members",
    "policy",
    "ratelimit",
    "rates",
    "registry",
    "reports",
    "rights",
    "snapshot",
    "statustext",
    "topology",
    "trust",
]
# Modules of nothing but constants and classes, which the core may use too.
VALUES = ["effects"]
# What it may use of pubsub_common; that package tests that these are no shells.
COMMON_CORE = {
    "pubsub_common.protocol.batches",
    "pubsub_common.defaults",
    "pubsub_common.protocol.endpoints",
    "pubsub_common.errors",
    "pubsub_common.protocol.events",
    "pubsub_common.measurement.latency_histogram",
    "pubsub_common.protocol.messages",
    "pubsub_common.protocol.sequence",
    "pubsub_common.net.tcp_table",
    "pubsub_common.protocol.topics",
    "pubsub_common.protocol.wildcards",
    "pubsub_common.security.z85",
}

NOT_IN_CORE = {
    "asyncio",
    "docopt",
    "logging",
    "matplotlib",
    "mininet",
    "netifaces",
    "socket",
    "subprocess",
    "threading",
    "time",
    "zmq",
}
NOT_IN_PACKAGE = {
    "matplotlib",
    "mininet",
    "numpy",
    "pubsub_perf",
    "pubsub_publisher",
    "pubsub_subscriber",
}


def imports(module: str) -> Iterator[str]:
    """Dotted names that a module imports, at its top or inside functions."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls_of_interpreter(module: str) -> set[str]:
    """Ways around an import statement that a module uses."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names & {"__import__", "eval", "exec", "open", "input", "print"}


def says_core(module: str) -> bool:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    paragraph = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return "Core" in paragraph.split("\n\n")[0]


def test_the_list_of_core_modules_is_what_their_docstrings_say() -> None:
    assert [module for module in MODULES if says_core(module)] == CORE


@pytest.mark.parametrize("module", [*CORE, *VALUES])
def test_the_core_does_no_input_or_output(module: str) -> None:
    found = {name.partition(".")[0] for name in imports(module)}

    assert not found & NOT_IN_CORE
    assert not calls_of_interpreter(module)


@pytest.mark.parametrize("module", [*CORE, *VALUES])
def test_the_core_uses_no_shell(module: str) -> None:
    allowed = {f"pubsub_broker.{name}" for name in (*CORE, *VALUES)} | COMMON_CORE
    used = {
        ".".join(name.split(".")[:2])
        for name in imports(module)
        if name.startswith("pubsub_") and "." in name
    }

    assert used - allowed == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_package_uses_no_role_and_no_tool_of_measurement(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(module)} & NOT_IN_PACKAGE


IMPORT_ALONE = """
import importlib, sys
for name in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(name)
    heavy = {"zmq", "socket", "asyncio", "subprocess", "docopt", "netifaces"}
    print(*sorted(heavy & set(sys.modules) - before))
"""


def load_alone(module: str) -> set[str]:
    """Import a module in a fresh interpreter; which heavy modules that loads."""
    name = "pubsub_broker" if module == "__init__" else f"pubsub_broker.{module}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALONE, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__main__"])
def test_a_module_can_be_imported_alone(module: str) -> None:
    loaded = load_alone(module)

    assert not loaded & {"docopt", "netifaces"}, "only where they are needed"
    if module in (*CORE, *VALUES):
        assert not loaded

"""The core stays free of input and output; the role uses no other; help is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pubsub_publisher

PACKAGE = Path(pubsub_publisher.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

CORE = ["history", "payloads", "schedule", "topicbook", "topicstate", "trust"]

NOT_IN_CORE = {
    "asyncio",
    "docopt",
    "logging",
    "matplotlib",
    "mininet",
    "netifaces",
    "os",
    "select",
    "signal",
    "socket",
    "subprocess",
    "sys",
    "threading",
    "time",
    "zmq",
}
SHELLS_OF_COMMON = {
    f"pubsub_common.{name}"
    for name in ("addresses", "cli", "clock", "control", "datafile", "sockets")
}
NOT_IN_PACKAGE = {
    "docopt",
    "matplotlib",
    "mininet",
    "netifaces",
    "numpy",
    "pubsub_broker",
    "pubsub_perf",
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


def says_core(module: str) -> bool:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return "Core." in (ast.get_docstring(tree) or "").partition("\n\n")[0]


def run_python(code: str, *argv: str) -> str:
    """Standard output of ``code`` in a fresh interpreter, which must not complain."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_the_list_of_core_modules_is_what_their_docstrings_say() -> None:
    assert [module for module in MODULES if says_core(module)] == CORE


@pytest.mark.parametrize("module", CORE)
def test_the_core_does_no_input_or_output(module: str) -> None:
    found = set(imports(module))

    assert not {name.partition(".")[0] for name in found} & NOT_IN_CORE
    assert not found & SHELLS_OF_COMMON


@pytest.mark.parametrize("module", CORE)
def test_the_core_uses_no_shell_of_its_package(module: str) -> None:
    own = {f"pubsub_publisher.{name}" for name in MODULES}
    core = {f"pubsub_publisher.{name}" for name in CORE}

    assert not (set(imports(module)) & own) - core


@pytest.mark.parametrize("module", MODULES)
def test_the_package_uses_no_other_role_and_no_tool_of_measurement(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(module)} & NOT_IN_PACKAGE


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__main__"])
def test_a_module_can_be_imported_alone(module: str) -> None:
    name = "pubsub_publisher" + ("" if module == "__init__" else f".{module}")

    loaded = run_python(
        "import importlib, sys; importlib.import_module(sys.argv[1]);"
        "print(*{'zmq', 'threading', 'logging', 'docopt'} & set(sys.modules))",
        name,
    ).split()

    assert "docopt" not in loaded, "only where it is needed"
    if module in CORE:
        assert not loaded


def test_the_class_is_at_the_top_of_the_package() -> None:
    assert pubsub_publisher.Publisher.__module__ == "pubsub_publisher.publisher"
    assert set(pubsub_publisher.__all__) == {"Publisher", "__version__"}


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Subscriber'"):
        _ = pubsub_publisher.Subscriber


def test_help_does_not_load_zeromq() -> None:
    out = run_python(
        "import atexit, sys\n"
        "from pubsub_publisher.cli import main\n"
        "atexit.register(lambda: print('loaded:', 'zmq' in sys.modules))\n"
        "main(['--help'])"
    )

    assert out.startswith("Publish events on")
    assert out.endswith("loaded: False\n")

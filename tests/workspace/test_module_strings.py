"""Names of modules in strings and docs resolve: a move that forgets one would not fail loudly.

Imports are checked by mypy. Strings are not: names that are imported on demand, patched,
or looked up, references in docstrings, and code that tests run in other processes.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.paths import ROOT

FILES: Final = sorted(
    path
    for pattern in (
        "packages/*/src/**/*.py",
        "packages/*/tests/**/*.py",
        "tests/**/*.py",
        "scripts/*.py",
        "benchmarks/**/*.py",
        "docs/**/*.md",
        "packages/*/README.md",
        "*.md",
    )
    for path in ROOT.glob(pattern)
    if path != Path(__file__)
)
_OURS: Final = r"pubsub_(?:common|broker|publisher|subscriber|perf)"
DOTTED: Final = re.compile(rf"(?<![\w./-]){_OURS}(?:\.[A-Za-z_]\w*)+(?![\w/])")
FROM_IMPORT: Final = re.compile(
    rf"\bfrom ({_OURS}(?:\.\w+)*) import (\([^)]*\)|\w+(?:, *\w+)*)"
)
# What looks like a module and is a file.
_FILES: Final = (".py", ".toml", ".html", ".json", ".md", ".txt", ".cfg")
# The pytest fixture `pubsub_broker` has the name of a package.
_OF_FIXTURES: Final = {"pubsub_broker.centralized", "pubsub_broker.port"}


def texts(path: Path) -> Iterator[str]:
    """A page of the docs, or the string literals of code: docstrings and parts of
    f-strings included."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        yield source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def names_in(text: str) -> set[str]:
    """The dotted names of ours in a string, with what code in it imports from them."""
    found = {match[0] for match in DOTTED.finditer(text)}
    for match in FROM_IMPORT.finditer(text):
        for name in re.findall(r"\w+(?: as \w+)?", match[2]):
            found.add(f"{match[1]}.{name.partition(' as ')[0]}")
    return {name for name in found if not name.endswith(_FILES)} - _OF_FIXTURES


def resolves(name: str) -> bool:
    """Whether this is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for attribute in parts[length:]:
            if not hasattr(value, attribute):
                # An annotation makes an attribute of instances known.
                return attribute in getattr(value, "__annotations__", {})
            value = getattr(value, attribute)
        return True
    return False


@pytest.fixture(scope="module")
def names() -> dict[str, Path]:
    """All dotted names of ours, with a file that has them. Reading them takes seconds."""
    return {
        name: path.relative_to(ROOT)
        for path in FILES
        for text in texts(path)
        for name in names_in(text)
    }


def test_names_of_ours_in_strings_resolve(names: dict[str, Path]) -> None:
    assert {name: path for name, path in names.items() if not resolves(name)} == {}


@pytest.mark.parametrize(
    "text",
    [
        "pubsub_common.logformat",
        "see `pubsub_common.net.sockets.gone`",
        "import sys; from pubsub_common.logs import logformat",
        "from pubsub_broker.door import (\n    Door,\n)",
    ],
)
def test_a_name_that_did_not_follow_a_move_is_found(text: str) -> None:
    assert not all(map(resolves, names_in(text)))


def test_names_are_found(names: dict[str, Path]) -> None:
    assert len(names) > 20
    assert "pubsub_common.protocol.events" in names

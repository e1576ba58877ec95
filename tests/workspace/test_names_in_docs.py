"""Classes, attributes and files that docs and docstrings name exist in the repository.

`test_module_strings.py` resolves dotted names that begin with a package. This test covers
names in backticks without one, for which no import fails when they are renamed.
"""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path
from typing import Final

import pytest
from support.paths import ROOT

FILES: Final = sorted(
    path.relative_to(ROOT)
    for pattern in (
        "*.md",
        "docs/*.md",
        "docs/api/*.md",
        "docs/examples/python/*",
        "packages/*/*.md",
        "packages/*/src/**/*.py",
        "packages/*/tests/**/*.py",
        "tests/**/*.py",
        "scripts/*.py",
        "benchmarks/**/*.py",
        "conftest.py",
    )
    for path in ROOT.glob(pattern)
    if path != Path(__file__)
)
KNOWN_FILES: Final = [f"/{path}" for path in (*FILES, Path(__file__).relative_to(ROOT))]
CLASS: Final = re.compile(r"`(_?[A-Z][a-z]+[A-Za-z]*)(?:\(\))?`")
MEMBER: Final = re.compile(r"`(_?[A-Z][a-z]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`")
FILE: Final = re.compile(r"[\w./*<>-]+\.py\b")
# Pages that tell the reader to make files, or name those of the project before this one.
_OTHER_FILES: Final = {"migration.md", "tasks.md", "security.md", "CONTRIBUTING.md"}
# From here on a page names what other languages have.
_OTHER_LANGUAGES: Final = "\n## Traps, by language\n"
_PLACEHOLDERS: Final = {"Core", "Shell", "packages/pubsub-x/tests/f/test_m.py"}


def texts_of(path: Path, names: set[str]) -> list[str]:
    """A page, or the docstrings and comments of code. The names that the code defines,
    imports or uses are added to ``names``."""
    source = (ROOT / path).read_text("utf-8")
    if path.suffix == ".md":
        return [source.partition(_OTHER_LANGUAGES)[0]]
    texts = [line.partition("# ")[2] for line in source.split("\n") if "# " in line]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.add(node.name)
                texts.append(ast.get_docstring(node) or "")
            case ast.Module():
                texts.append(ast.get_docstring(node) or "")
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add((other or name).rpartition(".")[2])
            case ast.keyword(arg=str(name)):
                names.add(name)
    return texts


def unknown_in(text: str, names: set[str], *, files_too: bool = True) -> set[str]:
    """What a text names and the repository does not have."""
    missing = {name for name in CLASS.findall(text) if name not in names}
    missing |= {
        name for name in MEMBER.findall(text) if not names.issuperset(name.split("."))
    }
    if files_too:
        missing |= {
            name
            for name in FILE.findall(text)
            if not set("*<>") & set(name)
            and not any(path.endswith(f"/{name}") for path in KNOWN_FILES)
        }
    return missing - _PLACEHOLDERS


def test_what_docs_and_docstrings_name_exists() -> None:
    names = set(dir(builtins))
    texts = {path: texts_of(path, names) for path in FILES}
    missing = {
        (str(path), name)
        for path, parts in texts.items()
        for text in parts
        for name in unknown_in(text, names, files_too=path.name not in _OTHER_FILES)
    }
    assert missing == set()


@pytest.mark.parametrize(
    "text", ["see `DoorWatch`", "calls `Known.settle`", "in `control/doorwatch.py`"]
)
def test_a_name_that_does_not_exist_is_found(text: str) -> None:
    assert unknown_in(text, {"Known"})

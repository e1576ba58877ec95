"""What no code of ours does, and the tools that look for more."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import ROOT

SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))

# Modules that run what they read.
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}
NAMES = {"eval", "exec", "__import__", "compile"}
SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput")}


def offences(source: str) -> list[str]:
    """What this code does that ours must not, with lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        match node:
            case ast.Import(names=aliases):
                names = [a.name for a in aliases if a.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MODULES:
                names = [module]
            case ast.Name(id=name) if name in NAMES:
                names = [name]
            case ast.Attribute(value=ast.Name(id=owner), attr=attr):
                if (owner, attr) in SHELLS or (owner, attr) == ("builtins", "eval"):
                    names = [f"{owner}.{attr}"]
                elif owner == "yaml" and "load" in attr and "safe" not in attr:
                    names = [f"yaml.{attr}"]
            case ast.keyword(arg="shell", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    names = ["shell="]
            case ast.ImportFrom(module="yaml", names=aliases):
                names = [f"yaml.{a.name}" for a in aliases if "load" in a.name]
        found += [f"{name} (line {node.lineno})" for name in names]  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_that_was_read_is_run(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 100
    assert len({path.parts[-2] for path in SOURCES}) >= 5


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, marshal",
        "from pickle import loads",
        "import yaml\nyaml.load(x)",
        "from yaml import load",
        "eval('1')",
        "exec(x)",
        "f = eval",
        "__import__('os')",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=flag)",
        "os.system('ls')",
    ],
)
def test_it_would_be_found(source: str) -> None:
    assert len(offences(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(x, shell=False)",
        "yaml.safe_load(x)",
        "re.compile(x)",
        "evaluate(x)",
    ],
)
def test_what_is_harmless_is_not(source: str) -> None:
    assert offences(source) == []


# scripts/audit.py


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {
    "name": "bad",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"]}],
}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


def printed(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_finding_fails_and_is_named(audit: ModuleType) -> None:
    code, lines = audit.judge(printed(GOOD, BAD, UNKNOWN), "")
    assert (code, lines) == (1, ["pip-audit: bad 2.0: PYSEC-1, fixed in 2.1, 3.0"])


def test_nothing_found_passes_and_says_of_how_many(audit: ModuleType) -> None:
    code, lines = audit.judge(printed(GOOD, UNKNOWN), "")
    assert (code, len(lines)) == (0, 1)
    assert "against 1 packages; 1 are not known" in lines[0]


@pytest.mark.parametrize(
    ("out", "err"),
    [
        ("", "WARNING: x\nERROR: the service is unreachable"),
        ("[]", "ERROR: the service is unreachable"),
        ("", ""),
        (printed(UNKNOWN), ""),
    ],
)
def test_where_nobody_can_be_asked_one_line_says_so(
    audit: ModuleType, out: str, err: str
) -> None:
    code, lines = audit.judge(out, err)
    assert (code, len(lines)) == (0, 1)
    assert "not done" in lines[0]

"""Which modules are core, and which are shell.

The last paragraph of each folder's docstring has this: ``Core.``, ``Shell.``, or either
with ``, except `name` and `name`.``.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Final

from support.paths import ROOT

SOURCES: Final = sorted((ROOT / "packages").glob("*/src"))
FILES: Final = {
    ".".join(path.relative_to(source).with_suffix("").parts): path
    for source in SOURCES
    for path in sorted(source.rglob("*.py"))
}
FOLDERS: Final = [name for name in FILES if name.endswith(".__init__")]
MODULES: Final = [name for name in FILES if name not in FOLDERS]

LAYER: Final = re.compile(r"(Core|Shell)(?:, except ((?:`\w+`(?:, | and )?)+))?\.")


def docstring(module: str) -> str:
    return ast.get_docstring(ast.parse(FILES[module].read_text("utf-8"))) or ""


@cache
def layer_of(folder: str) -> tuple[str, frozenset[str]]:
    """``Core`` or ``Shell``, and the names of the modules that are the other."""
    said = docstring(folder).rpartition("\n\n")[2].replace("\n", " ")
    found = LAYER.fullmatch(said)
    assert found, f"{folder} does not say whether it is core or shell: {said!r}"
    return found[1], frozenset(re.findall(r"`(\w+)`", found[2] or ""))


def is_core(module: str) -> bool:
    parent, _, name = module.rpartition(".")
    layer, exceptions = layer_of(f"{parent}.__init__")
    return (layer == "Core") != (name in exceptions)

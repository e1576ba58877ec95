"""Executes a notebook without Jupyter, and gives what its cells say: the text that they print,
the text of their last expression, and a line for each figure that they show.

    python -m support.notebooks NOTEBOOK

prints these texts as a list of JSON, one for each cell with code.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from support.paths import ROOT

FIGURE: Final = "<Figure>\n"


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def texts_in(path: Path) -> list[str]:
    """The outputs of the cells of a notebook, from its file."""
    return ["".join(map(_said, cell["outputs"])) for cell in code_cells(path)]


def texts_of(path: Path) -> list[str]:
    """The outputs of the cells of a notebook when they are executed, in their own
    process, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "support.notebooks", str(path)],
        cwd=path.parent,
        env={"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT / "tests"), "HOME": "/none"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def _said(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return "".join(output["text"])
    if "image/png" in output["data"]:
        return FIGURE
    return "".join(output["data"]["text/plain"]) + "\n"


def _show(*_: object) -> None:
    """Replaces ``plt.show``."""
    import matplotlib.pyplot as plt

    for number in plt.get_fignums():
        figure = plt.figure(number)
        figure.savefig(io.BytesIO(), format="png")
        plt.close(figure)
        sys.stdout.write(FIGURE)


async def _evaluate(tree: ast.Module | ast.Expression, names: dict[str, Any]) -> Any:
    """Run code that may await, like cells of Jupyter."""
    mode = "eval" if isinstance(tree, ast.Expression) else "exec"
    code = compile(tree, "cell", mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    value = eval(code, names)
    return await value if inspect.iscoroutine(value) else value


async def _execute(source: str, names: dict[str, Any]) -> str:
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        await _evaluate(tree, names)
        if isinstance(last, ast.Expr):
            value = await _evaluate(ast.Expression(last.value), names)
            if value is not None:
                print(repr(value))
    return said.getvalue()


async def _main(path: Path) -> None:
    import matplotlib.pyplot as plt

    plt.show = _show  # type: ignore[assignment]
    names: dict[str, Any] = {}
    cells = ["".join(cell["source"]) for cell in code_cells(path)]
    print(json.dumps([await _execute(cell, names) for cell in cells]))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))

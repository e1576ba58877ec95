"""The vectors and traces of the protocol as the page shows them, made from
``docs/protocol-vectors.json``."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

VECTORS: Final[dict[str, list[dict[str, Any]]]] = json.loads(
    (Path(__file__).parent.parent / "docs" / "protocol-vectors.json").read_text("utf-8")
)
_MESSAGES: Final = ("requests", "replies")


# Vectors


def vector_block(name: str) -> str:
    """A list of the vectors, as a block of text."""
    items = VECTORS[name]
    if name in _MESSAGES:
        lines = [compact(item) for item in items]
    elif name.startswith("refused_"):
        lines = [" ".join(str(value) for value in item.values()) for item in items]
    else:
        lines = ["\n".join(_fields(item)) + "\n" for item in items]
    return "```\n" + "\n".join(lines).rstrip("\n") + "\n```\n"


def compact(message: object) -> str:
    """A message as the code writes it."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _fields(item: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {value if isinstance(value, str) else compact(value)}".rstrip()
        for name, value in item.items()
    ]


# Traces

ROLES: Final = ("subscriber", "client", "choice", "publisher", "broker", "group")


def trace_block(role: str) -> str:
    """The traces of a role, as a block of text: its input and its output."""
    texts = [_trace(trace) for trace in VECTORS["traces"] if trace["role"] == role]
    return "```\n" + "\n".join(texts) + "```\n"


def _trace(trace: dict[str, Any]) -> str:
    lines = [f"{trace['name']}: {trace['rule']}", f"  given {compact(trace['given'])}"]
    for step in trace["steps"]:
        at = f"  {step['at']:>5g} s"
        come = step.get("in", {})
        if come:
            lines.append(f"{at} <- {compact(come)}")
        lines += [f"{at} -> {compact(out)}" for out in step.get("out", ())]
        if not come and not step.get("out"):
            lines.append(at)
    lines.append(f"  counted {compact(trace['counted'])}")
    return "\n".join(lines) + "\n"


TABLES: Final[dict[str, Callable[[], str]]] = {
    **{
        f"vectors-{name}": functools.partial(vector_block, name)
        for name in VECTORS
        if name != "traces"
    },
    **{f"traces-{role}": functools.partial(trace_block, role) for role in ROLES},
}

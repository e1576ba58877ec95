"""Renders the templates of pages and Markdown files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup, escape

from pubsub_common.text.printable import printable

# An option and its value.
_OPTION: Final = re.compile(r"--[a-z-]+(?: [0-9.]*[0-9])?")
_MARKDOWN_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~])")


def render(names: tuple[str, ...], variables: Mapping[str, object]) -> dict[str, bytes]:
    """The files ``names``, each made of its template ``<name>.j2``. Pages also get the
    common style and script, and their hashes for the content security policy."""
    folder = resources.files("pubsub_perf.report") / "templates"
    sources = {
        f"{name}.j2": (folder / f"{name}.j2").read_text(encoding="utf-8")
        for name in names
    }
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    # Bandit does not look into functions: pages are escaped, Markdown is not.
    environment = jinja2.Environment(  # nosec B701
        loader=jinja2.DictLoader(sources),
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters["markdown"] = markdown
    environment.filters["options"] = options
    shared = {
        # From this package's own files.
        "style": Markup(style),  # nosec B704
        "script": Markup(script),  # nosec B704
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    made = {}
    for name in names:
        text = environment.get_template(f"{name}.j2").render(variables, **shared)
        made[name] = text.encode("utf-8", "replace")
    return made


def markdown(text: str) -> str:
    """``text`` as Markdown, with all special characters escaped."""
    one_line = printable(" ".join(text.split()))
    escaped = one_line.replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", escaped)


def options(text: str) -> Markup:
    """``text`` for a page, on which no line breaks within an option and its value."""
    whole = r'<span class="option">\g<0></span>'
    # The text is escaped, and the pattern has no character that escaping changes.
    return Markup(_OPTION.sub(whole, str(escape(printable(text)))))  # nosec B704


@jinja2.pass_eval_context
def _shown(context: jinja2.nodes.EvalContext, value: object) -> object:
    """Show control characters and text direction of values on a page. In Markdown the filter
    does this: there the result of a macro is plain text, too."""
    if context.autoescape and isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return value


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

"""Texts with named fields, like ``{topic} {size:>8}``: the user's, from the command line."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pubsub_common.errors import ConfigError

_T = TypeVar("_T")

# A width or precision of more digits would make a text of 10 kB or more of one field.
# The digits of any script count.
_TOO_WIDE: Final = re.compile(r"\d{5,}")
_ESCAPES: Final = {"\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}


def field_names(text: str) -> set[str]:
    """The fields that ``text`` names; of a text that is not a template, none."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}
    except ValueError:
        return set()


def compiled(
    text: str,
    fields: Mapping[str, Callable[[_T], Any]],
    option: str,
    *,
    of: str,
    example: _T,
) -> Callable[[_T], str]:
    """A function that fills in ``text``. It replaces {NAME} by the field of that name, and
    formats {NAME:SPEC} as Python does. {{ and }} are braces; \\n, \\t, \\0 and \\\\ are a line
    end, a tab, a zero byte and a backslash.

    Args:
        text: the template.
        fields: functions that return the value of a field.
        option: the option with the text, for errors.
        of: the owner of the fields, for errors: "an event".
        example: an owner that tries the template, to find wrong specs.

    Raises:
        ConfigError: there is no field of a name, a field is wider than 9999 characters, or
            the text is not a template.
    """
    pieces: list[str] = []
    getters: list[Callable[[_T], Any]] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            pieces.append(_unescape(literal).replace("{", "{{").replace("}", "}}"))
            if name is None:
                continue
            if name not in fields or conversion or "{" in (spec or ""):
                known = " ".join(f"{{{field}}}" for field in fields)
                raise ConfigError(
                    f"{option}: {{{name}}} is not a field of {of}; there are {known}"
                )
            if _TOO_WIDE.search(spec or ""):
                raise ConfigError(
                    f"{option}: {{{name}:{spec}}} is wider than 9999 characters"
                )
            getters.append(fields[name])
            # By number: names are looked up here, once.
            pieces.append("{:" + (spec or "") + "}")
        apply = "".join(pieces).format
        apply(*[get(example) for get in getters])
    except ValueError as error:
        raise ConfigError(f"{option}: {text!r} is not a format: {error}") from None
    return lambda source: apply(*[get(source) for get in getters])


def _unescape(text: str) -> str:
    out = []
    rest = text
    while rest:
        before, slash, after = rest.partition("\\")
        out.append(before)
        pair = slash + after[:1]
        out.append(_ESCAPES.get(pair, pair))
        rest = after[1:]
    return "".join(out)

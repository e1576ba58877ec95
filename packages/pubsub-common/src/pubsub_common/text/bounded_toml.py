"""Parses TOML of strangers: the work for each byte has a bound.

`tomllib` calls itself for each bracket, looks at all parts of a key for each of them, and
matches a number in one go. So the shape of the text is looked at first, in one pass.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

# No file of this project has more brackets within each other, or parts in a key, than 4.
_MAX_DEPTH: Final = 8
# Brackets, and parts of keys, each of which becomes an object: a policy of 10,000 clients
# has so many, and a list of clients one for each 40 bytes.
_MAX_OBJECTS: Final = 80_000
_BYTES_OF_OBJECT: Final = 20
# The longest that is written without quotes is a name of 64 characters.
_MAX_WORD: Final = 1024

_TOKENS: Final = re.compile(
    r'''
    """(?:[^\\"]|\\[\s\S]|"(?!""))*+"{3,5}  # text of several lines
    | \'\'\'(?:[^']|'(?!''))*+'{3,5}
    | """ | \'\'\'                            # one that does not end
    | "(?:[^"\\\n]|\\[^\n])*+"              # text of one line
    | '[^'\n]*+'
    | \#[^\n]*+                             # a comment
    | [^\s\[\]{}.=,"'\#]++                  # a word
    | [\[\]{}.=,\n"']
    ''',
    re.VERBOSE,
)


class TomlError(ValueError):
    """A text is not TOML, or not of a shape that a file of this project has."""


def parse(data: bytes) -> dict[str, Any]:
    """What the bytes say, as `tomllib.loads`. Takes time in proportion to them.

    Raises:
        TomlError: they are not UTF-8, not TOML, or nested too deeply.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise TomlError("it is not UTF-8") from None
    _check_shape(text)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # A number of too many digits is a plain ValueError.
        raise TomlError(" ".join(str(error).split())) from None


def _check_shape(text: str) -> None:
    """Raises:
    TomlError: what `tomllib` would take long for.
    """
    depth = dots = objects = 0
    most = max(_MAX_OBJECTS, len(text) // _BYTES_OF_OBJECT)
    for token in _TOKENS.finditer(text):
        found = token[0]
        match found[0]:
            case "[" | "{":
                depth += 1
                dots = 0
                objects += 1
            case "]" | "}":
                depth = max(0, depth - 1)
            case "=":
                dots = 0
                objects += 1
            case "," | "\n":
                dots = 0
            case ".":
                dots += 1
                objects += 1
            case '"' | "'":
                if found in ('"', "'", '"""', "'''"):
                    return  # it does not end: `tomllib` stops here, and says so
            case "#":
                pass
            case _:
                if len(found) > _MAX_WORD:
                    raise _error("a word is too long", text, token.start())
        if depth > _MAX_DEPTH:
            raise _error("too many brackets within each other", text, token.start())
        if dots >= _MAX_DEPTH:
            raise _error("a key has too many parts", text, token.start())
        if objects > most:
            raise _error("it has too many parts", text, token.start())


def _error(what: str, text: str, at: int) -> TomlError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return TomlError(f"{what} (at line {line}, column {column})")

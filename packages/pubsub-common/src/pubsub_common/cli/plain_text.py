"""Replaces letters that the encoding of a stream lacks.

An ASCII terminal or log gets `us` for microseconds and a dash for a line. Other letters are escaped
as in Python. A byte in a file name that is not valid text stays that byte.
"""

from __future__ import annotations

import codecs
from typing import Final

ERRORS: Final = "pubsub-plain"

_PLAIN: Final = {
    "\u00b5": "u",
    "\u03bc": "u",
    "\u0394": "d",
    "\u03b4": "d",
    "\u00d7": "x",
    "\u2715": "x",
    "\u00b7": "*",
    "\u00b2": "^2",
    "\u2212": "-",
    "\u2010": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u2026": "...",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2248": "~",
    "\u2192": "->",
    "\u2713": "yes",
    "\u26a0": "!",
    "\u2502": "|",
    "\u2503": "|",
    "\u2551": "|",
    "\u2588": "#",
    "\u00a0": " ",
}
# Lines of tables, except the vertical ones above; progress marks.
_LINES: Final = range(0x2500, 0x2580)
_BRAILLE: Final = range(0x2800, 0x2900)
_BYTES: Final = range(0xDC80, 0xDD00)


def register() -> None:
    """Register `ERRORS` as an error handler of streams."""
    codecs.register_error(ERRORS, _replace)


def _replace(error: UnicodeError) -> tuple[bytes | str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    code = ord(character)
    if code in _BYTES:
        return bytes([code - 0xDC00]), error.start + 1
    if code in _LINES:
        return _PLAIN.get(character, "-"), error.start + 1
    if code in _BRAILLE:
        return "*", error.start + 1
    plain = _PLAIN.get(character)
    return (
        character.encode("ascii", "backslashreplace").decode()
        if plain is None
        else plain
    ), error.start + 1

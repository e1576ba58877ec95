"""Text of strangers as a terminal or a log may have it: on one line, in the order it has.

Topics, payloads, names and error details come from other programs. Written as they are, they
could clear a screen, rename a window, begin a line that looks like the program's own, or turn
the order of what follows.
"""

from __future__ import annotations

import re
from typing import Final

# All but what nearly all text consists of; each of it is looked at.
_UNUSUAL: Final = re.compile(r"[^ -~]")
# Longer lines of logs and errors are cut: what they repeat may be a megabyte.
_MAX_LINE: Final = 4096
# JSON has an escape for 16 bits only.
_TWO_ESCAPES: Final = 0x10000


def printable(text: str) -> str:
    """``text`` with each character that is not printable as an escape, like ``\\x1b``.

    Those are control characters, line and paragraph separators, marks of direction and other
    format characters, spaces that are not the usual one, halves of characters, and what Unicode
    has not assigned. A backslash stays one: this is for people, not to be read back.
    """
    return text if text.isprintable() else _UNUSUAL.sub(_escape, text)


def cut(text: str) -> str:
    """``text`` if it is not too long for a line of a log, else its beginning."""
    more = len(text) - _MAX_LINE
    return text if more <= 0 else f"{text[:_MAX_LINE]}… ({more} more characters)"


def printable_json(text: str) -> str:
    """An object of JSON that says the same as ``text``, of which it has no character that is
    not printable."""
    return text if text.isprintable() else _UNUSUAL.sub(_json_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else ascii(char)[1:-1]


def _json_escape(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    code = ord(char)
    if code < _TWO_ESCAPES:
        return f"\\u{code:04x}"
    high, low = divmod(code - _TWO_ESCAPES, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"

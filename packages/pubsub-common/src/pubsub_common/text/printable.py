"""Makes text of other programs safe for a terminal or a log: one line, in its order.

Topics, payloads, names and error details come from other programs. Unchanged, they could
clear a screen, rename a window, begin a line that looks like the program's own, or reverse
the order of later text.
"""

from __future__ import annotations

import re
from typing import Final

# All characters but the most common ones; each of these is checked.
_UNUSUAL: Final = re.compile(r"[^ -~]")
# Longer lines of logs and errors are cut: the text that they quote may have a megabyte.
_MAX_LINE: Final = 4096
# JSON has an escape for 16 bits only.
_TWO_ESCAPES: Final = 0x10000


def printable(text: str) -> str:
    """``text`` with each character that is not printable as an escape, like ``\\x1b``.

    Those are control characters, line and paragraph separators, direction marks and other
    format characters, unusual spaces, surrogates, and unassigned characters. A backslash is
    not escaped: the result is for people, not for programs.
    """
    return text if text.isprintable() else _UNUSUAL.sub(_escape, text)


def cut(text: str) -> str:
    """``text`` if it is short enough for a log line, else its beginning."""
    more = len(text) - _MAX_LINE
    return text if more <= 0 else f"{text[:_MAX_LINE]}… ({more} more characters)"


def printable_json(text: str) -> str:
    """A JSON object with the same content as ``text``, with all its characters printable."""
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

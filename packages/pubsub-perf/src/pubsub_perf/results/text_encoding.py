"""Detects the encoding of a text file by its first bytes."""

from __future__ import annotations

import codecs
from typing import Final

# Enough bytes to detect the encoding.
SAMPLE_BYTES: Final = 4096
# Byte order marks; the mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(begin: bytes) -> tuple[str, str | None]:
    """The encoding of a file with these first bytes, and a note on it."""
    for mark, name in _MARKS:
        if begin.startswith(mark):
            return name, _note(name)
    # In UTF-16, Latin letters and digits have a zero byte each.
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        zeros = begin[first::2].count(0)
        others = begin[1 - first :: 2].count(0)
        if len(begin) >= 4 and zeros > 0.4 * len(begin) and not others:
            return name, _note("utf-16")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        # Latin-1 decodes every byte, for example the µ of a unit in a header.
        return "latin-1", "is not in UTF-8, and is read as Latin-1"
    return "utf-8-sig", None


def _note(name: str) -> str:
    return f"is read as {name.upper()}"

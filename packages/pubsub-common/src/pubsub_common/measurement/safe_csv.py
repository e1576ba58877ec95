"""Cells of CSV files that spreadsheets show as text.

A spreadsheet runs a cell that begins like a formula, wherever the file came from: topics are
chosen by strangers. An apostrophe in front makes it text.
"""

from __future__ import annotations

import re
from typing import Final

# What a formula begins with, also in full width, which some take for the same. A tab or a line
# end before it is dropped; and where a list separator of some country is in a cell, that
# spreadsheet may begin another cell behind it.
_FORMULA: Final = re.compile(r"(^|[;,\t\r\n|])(?=\s*[=+\-@\t\r\n＝＋－＠])")  # noqa: RUF001


def safe_cell(text: str) -> str:
    """``text`` with an apostrophe before whatever a spreadsheet would run."""
    return _FORMULA.sub(r"\1'", text)

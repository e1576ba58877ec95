"""The size of text, and its line breaks."""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Iterable
from typing import Final

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

_LINE_SPACING: Final = 1.25
# Glyphs placed on whole pixels take a little more than their outlines.
_HINTING: Final = 1.02
_HARD: Final = "\N{NO-BREAK SPACE}"
_METER: Final = TextToPath()


def wrap(text: str, width_in: float, size_pt: float, weight: str = "normal") -> str:
    """``text`` in lines with at most this width. A word that is too long for a
    line is broken."""
    font = FontProperties(size=size_pt, weight=weight)
    limit_pt = width_in * 72 / _HINTING
    lines = [""]
    for word in re.findall(r"[^ \n\t]+", text):
        line = f"{lines[-1]} {word}".lstrip()
        if _width(line, font) <= limit_pt or not lines[-1]:
            lines[-1] = line
        else:
            lines.append(word)
        while len(lines[-1]) > 1 and _width(lines[-1], font) > limit_pt:
            fits = _fitting(lines[-1], font, limit_pt)
            lines[-1:] = [lines[-1][:fits], lines[-1][fits:]]
    return "\n".join(lines)


def listed(items: Iterable[str], width_in: float, size_pt: float) -> str:
    """``a, b, c``, in lines that break between items where possible."""
    whole = ", ".join(item.replace(" ", _HARD) for item in items)
    return wrap(whole, width_in, size_pt).replace(_HARD, " ")


def text_height(text: str, size_pt: float) -> float:
    """The height in inches that this text takes."""
    lines = text.count("\n") + 1 if text else 0
    return lines * size_pt * _LINE_SPACING / 72


def shortened(name: str, most: int) -> str:
    """``name``, cut to at most ``most`` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


@functools.lru_cache(maxsize=4096)
def _width(text: str, font: FontProperties) -> float:
    return float(_METER.get_text_width_height_descent(text, font, ismath=False)[0])


def _fitting(word: str, font: FontProperties, limit_pt: float) -> int:
    """The number of characters of a too long word that fit on a line."""
    lengths = range(len(word))
    fits = bisect.bisect_right(lengths, limit_pt, key=lambda n: _width(word[:n], font))
    return max(1, fits - 1)

"""Reads numbers of options, names and files: of ASCII digits alone.

``int`` and ``float`` take the digits of every script, and underscores. Then one name or option has
several spellings, and one that people cannot tell from another.
"""

from __future__ import annotations


def whole_number(text: str) -> int:
    """The whole number that ``text`` is, with a sign and spaces around or without.

    Raises:
        ValueError: it is something else.
    """
    return int(_plain(text))


def real_number(text: str) -> float:
    """The number that ``text`` is, as `whole_number`; also ``inf`` and ``nan``.

    Raises:
        ValueError: it is something else.
    """
    return float(_plain(text))


def is_digits(text: str) -> bool:
    """Whether ``text`` is one digit or more, and nothing else."""
    return text.isascii() and text.isdecimal()


def _plain(text: str) -> str:
    if not text.isascii() or "_" in text:
        raise ValueError(f"not a number of ASCII digits: {text!a}")
    return text

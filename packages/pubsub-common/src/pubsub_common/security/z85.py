"""Checks keys in Z85, their text form.

CURVE keys have 32 bytes and are written in Z85 (https://rfc.zeromq.org/spec/32/):
5 characters for each 4 bytes.
"""

from __future__ import annotations

import string
from typing import Final, TypeGuard

KEY_LENGTH: Final = 40
_ALPHABET: Final = (
    string.digits
    + string.ascii_lowercase
    + string.ascii_uppercase
    + ".-:+=^!/*?&<>()[]{}@%$#"
)
_DIGITS: Final = {character: digit for digit, character in enumerate(_ALPHABET)}


def is_key(text: object) -> TypeGuard[str]:
    """Whether this could be a key in Z85."""
    if not isinstance(text, str) or len(text) != KEY_LENGTH:
        return False
    for start in range(0, KEY_LENGTH, 5):
        value = 0
        for character in text[start : start + 5]:
            digit = _DIGITS.get(character)
            if digit is None:
                return False
            value = 85 * value + digit
        if value >= 2**32:
            return False
    return True

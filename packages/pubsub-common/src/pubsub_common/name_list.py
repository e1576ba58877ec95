"""Names in a line that is not too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_NAMED: Final = 20


def name_list(names: Sequence[str]) -> str:
    """The first of these names, and how many others there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

"""Names for one line of limited length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pubsub_common.text.printable import printable

_NAMED: Final = 20


def name_list(names: Sequence[str]) -> str:
    """The first of these names, which other programs may have chosen, and the number of the
    others."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return printable(", ".join(names[:_NAMED])) + more

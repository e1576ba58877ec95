"""Versions of the protocol: a client names the lowest and the highest that it speaks, and the
broker chooses the highest that both speak."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

Version = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
# The lowest and the highest.
Versions = tuple[Version, Version]

# Those that this code speaks.
VERSIONS: Final[Versions] = (1, 1)


def chosen_version(client: Versions, broker: Versions = VERSIONS) -> int | None:
    """The highest version in both ranges; None when there is none."""
    highest = min(client[1], broker[1])
    return highest if highest >= max(client[0], broker[0]) else None


def spoken(versions: Versions) -> str:
    """A range, for people."""
    lowest, highest = versions
    return f"{lowest}" if lowest == highest else f"{lowest} to {highest}"


def strange_choice(version: int) -> str:
    """What a client says of a ``version`` that the broker chose and it does not speak."""
    return (
        f"the broker chose version {version} of the protocol, "
        f"this client speaks {spoken(VERSIONS)}"
    )

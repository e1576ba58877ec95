"""How a broker's forwarder makes itself known at the publishers that it connects to.

A publisher cannot tell a forwarder, which passes on the subscriptions of thousands, from a
stranger by its address. So a broker that is not secure tells publishers a name that is hard
to guess, and each of its forwarders subscribes to a private topic, of which there are
no events, as long as it lives::

    0x00 | "forwarder " | name | " " | number of the forwarder

In libzmq a subscription that begins with 0 is the first that a forwarder sends.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = b"\0forwarder "


def forwarder_mark(name: str, number: int) -> bytes:
    """What the forwarder of this ``number`` subscribes to."""
    return PREFIX + f"{name} {number}".encode()


def named_in(raw: bytes) -> str | None:
    """The name in a forwarder's subscription; None for anything else."""
    if not raw.startswith(PREFIX):
        return None
    name = raw[len(PREFIX) :].rpartition(b" ")[0]
    return name.decode(errors="replace")

"""Decides which addresses a client may name when it registers.

Others connect to what a publisher names. So nobody may name a host that is somebody else's,
which would be called by all subscribers, nor the broker's own ports, where events would go round.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from pubsub_broker.errors import Refusal
from pubsub_common.errors import ConfigError
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import is_name, parse_address, parse_host
from pubsub_common.protocol.messages import Register


@dataclasses.dataclass(frozen=True, slots=True)
class AddressRules:
    """``own`` tells the endpoints where the broker itself listens; ``is_local`` whether an IP
    address is one of the broker's machine, where clients have all of these. With
    ``allow_foreign`` clients may name other hosts than the one that they come from, also by
    a name: whose that is, nobody can tell."""

    own: Callable[[], Collection[str]] = tuple
    is_local: Callable[[str], bool] = lambda _host: False
    allow_foreign: bool = False

    def check(self, request: Register, origin: str | None) -> None:
        """Check the address of a registration that came from the IP address ``origin``, if
        that is known.

        Raises:
            Refusal: it is none, the broker's own, or another host's.
        """
        try:
            if request.role == "publisher":
                host, _ = parse_address(request.address)
            else:
                host = parse_host(request.address)
        except ConfigError as error:
            raise Refusal(messages.BAD_ADDRESS, str(error)) from error
        if request.role == "publisher" and request.address in self.own():
            raise Refusal(
                messages.BAD_ADDRESS,
                f"{request.address} is a port of the broker itself, not of a publisher",
            )
        if self.allow_foreign:
            return
        if is_name(host):
            raise Refusal(
                messages.BAD_ADDRESS,
                f"the {request.role} names {host}, which is not an IP address; to take "
                "names start the broker with --allow-foreign-addresses",
            )
        if origin is None or host == origin:
            return
        if self.is_local(origin) and self.is_local(host):
            return
        raise Refusal(
            messages.BAD_ADDRESS,
            f"the {request.role} names {host}, but comes from {origin}; for clients behind "
            "a translation of addresses start the broker with --allow-foreign-addresses",
        )

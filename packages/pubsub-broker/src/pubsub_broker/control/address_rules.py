"""Decides which addresses a client may name when it registers.

Subscribers connect to the address that a publisher names. So a client may not name
another machine, which all subscribers would then connect to. It may not name a port of
the broker either, as events would circulate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pubsub_broker.errors import Refusal
from pubsub_common.errors import ConfigError
from pubsub_common.protocol import messages
from pubsub_common.protocol.endpoints import bare, is_name, parse_address, parse_host
from pubsub_common.protocol.messages import Register


@dataclasses.dataclass(frozen=True, slots=True)
class AddressRules:
    """The addresses that are allowed.

    Clients connect to the address of a publisher, so it must be the publisher's own. Nobody
    connects to a subscriber: its address is for people, and it may be behind NAT.

    Args:
        is_own: Whether the broker itself listens on an endpoint.
        is_local: Whether an IP address belongs to the broker's machine. A publisher on
            that machine may name any of its addresses.
        allow_foreign: Publishers may name hosts other than their own, also by host name.
            The broker cannot check the owner of a name.
    """

    is_own: Callable[[str], bool] = lambda _endpoint: False
    is_local: Callable[[str], bool] = lambda _host: False
    allow_foreign: bool = False

    def check(self, request: Register, origin: str | None) -> None:
        """Check the address in a registration that came from the IP address ``origin``,
        if known.

        Raises:
            Refusal: the address is invalid, the broker's own, or another host's.
        """
        try:
            if request.role == "publisher":
                host, _ = parse_address(request.address)
            else:
                host = parse_host(request.address)
        except ConfigError as error:
            raise Refusal(messages.BAD_ADDRESS, str(error)) from error
        if request.role == "subscriber":
            return
        if self.is_own(request.address):
            raise Refusal(
                messages.BAD_ADDRESS,
                f"{request.address} is a port of the broker itself, not of a publisher",
            )
        if self.allow_foreign:
            return
        if is_name(host):
            raise Refusal(
                messages.BAD_ADDRESS,
                f"the publisher names {host}, which is not an IP address; to allow "
                "host names, start the broker with --allow-foreign-addresses",
            )
        if origin is None or host == origin:
            return
        if self.is_local(origin) and self.is_local(host):
            return
        raise Refusal(
            messages.BAD_ADDRESS,
            f"the publisher names {host}, but connects from {origin}: start it with "
            f"--address {bare(origin)}, or the broker with --allow-foreign-addresses",
        )

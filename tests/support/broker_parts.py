"""For tests that look inside a running broker."""

from __future__ import annotations

from pubsub_broker import Broker
from pubsub_broker.control.core import BrokerCore
from pubsub_broker.parts import BrokerParts
from pubsub_common.protocol.messages import Role


def parts_of(broker: Broker) -> BrokerParts:
    """The sockets and the core of a broker that is configured."""
    parts = broker._runtime.parts
    assert parts is not None, "it is not configured, or closed"
    return parts


def role_of(core: BrokerCore, session: int) -> Role | None:
    """The role of a registered client; None when there is none."""
    client = core.own.get(session)
    return None if client is None else client.role

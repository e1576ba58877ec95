"""Status reports for tests of their presentation. Not tests; imported by those."""

from __future__ import annotations

import msgspec

from pubsub_broker.registry.changes import broker_name
from pubsub_common.protocol.messages import (
    BrokerStatus,
    ClientStatus,
    Model,
    RegistryStatus,
    Role,
    Status,
)


def client(
    role: Role, address: str, *topics: str, session: int = 0, **lost: int
) -> ClientStatus:
    """A client that has lost this many events of each topic."""
    return ClientStatus(
        role=role,
        session=session,
        address=address,
        topics=list(topics),
        idle_s=0.5,
        lost=lost,
    )


def report(
    *clients: ClientStatus,
    model: Model = "centralized",
    epoch: int = 1,
    uptime_s: float = 10.0,
    forwarded: int = 0,
    expected: tuple[ClientStatus, ...] = (),
) -> Status:
    """The status of a broker with these clients."""
    return Status(
        id=1,
        epoch=epoch,
        model=model,
        uptime_s=uptime_s,
        clients=list(clients),
        forwarded=forwarded,
        expected=list(expected),
    )


def at(client: ClientStatus, broker: str, *, own: bool = False) -> ClientStatus:
    """The client in the report of a broker of a group: with details if it is its
    ``own``."""
    if own:
        return msgspec.structs.replace(client, broker=broker)
    return ClientStatus(
        role=client.role,
        session=client.session,
        address=client.address,
        topics=client.topics,
        name=client.name,
        broker=broker,
    )


def in_group(
    status: Status,
    *addresses: str,
    own: int = 0,
    gone: tuple[str, ...] = (),
    cut_off_s: float | None = None,
) -> Status:
    """The report of a broker in group ``lab`` with brokers at these addresses: it has
    index ``own`` among them."""
    counts = [each.broker for each in status.clients]
    brokers = [
        BrokerStatus(
            address=address,
            broker=broker_name(status.epoch + place - own),
            version="0.1.0",
            clients=counts.count(address),
            alive=address not in gone,
        )
        for place, address in enumerate(addresses)
    ]
    registry = RegistryStatus(
        group="lab", cut_off=cut_off_s is not None, cut_off_s=cut_off_s or 0.0
    )
    return msgspec.structs.replace(status, brokers=brokers, registry=registry)

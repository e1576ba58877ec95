"""Status reports for tests of what is made of them. Not tests; imported by those."""

from __future__ import annotations

from pubsub_common.protocol.messages import ClientStatus, Model, Role, Status


def client(
    role: Role, address: str, *topics: str, session: int = 0, **lost: int
) -> ClientStatus:
    """A client that has lost so many events of each topic."""
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
    """What a broker with these clients says of itself."""
    return Status(
        id=1,
        epoch=epoch,
        model=model,
        uptime_s=uptime_s,
        clients=list(clients),
        forwarded=forwarded,
        expected=list(expected),
    )

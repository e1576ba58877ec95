"""The forwarders of a broker together."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import zmq
from support.ports import free_port

from pubsub_broker.control.effects import Attach
from pubsub_broker.forwarding.pool import ForwarderPool
from pubsub_common.limits.port_limits import PortLimits
from pubsub_common.net.named_endpoints import NamedEndpoints
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.security.lost_connections import LostConnections

ADDRESS = "127.0.0.1:9"


class AllLost(LostConnections):
    """No publisher is connected."""

    def look(self, addresses: object, now: float) -> list[str]:
        return [ADDRESS]


@pytest.fixture
def pool(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[ForwarderPool]:
    pool = ForwarderPool(
        context,
        count=1,
        threaded=False,
        bounds=QueueBounds(1000),
        overflow="block",
        on_failure=lambda: None,
        port_limits=PortLimits(connections=100, handshake_bytes=92),
        forwarder="test",
        on_failed_handshake=lambda address, what: None,
        places=NamedEndpoints(list),
    )
    pool._lost = AllLost()
    pool.open("127.0.0.1", iter([free_port()]))
    yield pool
    pool.close(time.monotonic())


def test_a_publisher_that_a_blocked_forwarder_has_not_connected_is_not_lost(
    pool: ForwarderPool,
) -> None:
    pool.expect(Attach(ADDRESS, ("A",)))
    output = pool.socket_sets[0].output
    now = time.monotonic()

    output.held_since = now - 2
    assert pool.reconnect_lost(now) == []

    output.held_since = None
    assert pool.reconnect_lost(now) == [ADDRESS]

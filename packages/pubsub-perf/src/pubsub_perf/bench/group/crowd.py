"""A process of many light subscribers: ``python -m pubsub_perf.bench.group.crowd``.

It reads its job from the first line of standard input. It answers each further line with the
counts of received events. A line with control ports makes all subscribers register there first. The
end of input ends it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import zmq

from pubsub_common import defaults
from pubsub_common.protocol.messages import Model
from pubsub_perf.bench.group.light_client import LightClient, register_all

_POLL_MS: Final = 100


class CrowdJob(msgspec.Struct, kw_only=True, frozen=True):
    """Subscriber i has the topics ``topics[i]``. They register at the control ports ``ports`` in
    turn."""

    model: Model
    lease_s: float
    ports: list[int]
    topics: list[list[str]]


class CrowdCounts(msgspec.Struct, kw_only=True, frozen=True):
    """What all have received together: ``events`` of each topic; ``complete``: each has had at
    least one of each of its topics. ``registered``: so many of them; the last time it took
    them ``register_s``. For ``still_s`` seconds none was sent to another place."""

    registered: int
    register_s: float
    complete: bool
    still_s: float
    events: dict[str, int]


class Crowd:
    """The subscribers of one job."""

    def __init__(self, job: CrowdJob) -> None:
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 8 * len(job.topics) + 64)
        self._clients = []
        self._poller = zmq.Poller()
        self._polled: dict[zmq.Socket[bytes], LightClient] = {}
        for topics in job.topics:
            client = LightClient(
                self._context, "subscriber", defaults.LOOPBACK, topics, job.model
            )
            self._clients.append(client)
        self.register(job.ports)

    def register(self, ports: Sequence[int]) -> None:
        """All register with other brokers than before."""
        for client in self._clients:
            if client.control is not None:
                self._poller.unregister(client.control)
                del self._polled[client.control]
        self._register_s = register_all(self._clients, ports)
        for client in self._clients:
            self._watch(client)

    def turn(self) -> bool:
        """Receive events; returns whether a line is on standard input."""
        found = dict(self._poller.poll(_POLL_MS))
        asked = found.pop(sys.stdin.fileno(), 0)
        for socket in found:
            client = self._polled[socket]
            if socket is client.control:
                client.read_control()
                self._watch(client)
            else:
                client.read_events()
        return bool(asked)

    def listen_to_input(self) -> None:
        self._poller.register(sys.stdin.fileno(), zmq.POLLIN)

    def beat(self) -> None:
        for client in self._clients:
            client.renew()

    def counts(self) -> CrowdCounts:
        total: Counter[str] = Counter()
        for client in self._clients:
            total.update(client.counts)
        return CrowdCounts(
            registered=sum(client.registered for client in self._clients),
            register_s=self._register_s,
            complete=all(all(client.counts.values()) for client in self._clients),
            still_s=time.monotonic()
            - max((client.moved_at for client in self._clients), default=0.0),
            events=dict(total),
        )

    def _watch(self, client: LightClient) -> None:
        for socket in (client.control, *client.sources()):
            if socket is not None and socket not in self._polled:
                self._polled[socket] = client
                self._poller.register(socket, zmq.POLLIN)


def main() -> None:
    # Unbuffered, because the poller looks at the descriptor.
    standard_input = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    job = msgspec.json.decode(standard_input.readline(), type=CrowdJob)
    crowd = Crowd(job)
    crowd.listen_to_input()
    beat_s = job.lease_s / defaults.HEARTBEATS_PER_LEASE
    beat_at = time.monotonic() + beat_s
    while True:
        asked = crowd.turn()
        if time.monotonic() > beat_at:
            beat_at += beat_s
            crowd.beat()
        if asked:
            line = standard_input.readline()
            if not line:
                return
            if ports := line.split():
                crowd.register([int(port) for port in ports])
            sys.stdout.write(msgspec.json.encode(crowd.counts()).decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

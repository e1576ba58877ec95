"""Brokers of a group in the process of a test, and clients that only keep their leases."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_broker.registry_options import Endpoint
from pubsub_common.client.status_client import ask
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Alive, Heartbeat, Model, Register, Status
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing import wait_for
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber
from support.running_roles import Receiver, RunningBroker, Security

# Longer than anything takes on the busiest machine; only a failing test waits for it.
START_S: Final = 40.0

Start = Callable[..., RunningBroker]


def registry_of(endpoints: Sequence[Endpoint]) -> str:
    """The value of ``--registry``."""
    return "etcd://" + ",".join(map(str, endpoints))


@contextlib.contextmanager
def started_brokers() -> Iterator[Start]:
    """Starts brokers of a group, which end with the block."""
    with contextlib.ExitStack() as stack:

        def start(
            endpoints: Sequence[Endpoint],
            model: Model = "decentralized",
            group: str = "lab",
            **options: Any,
        ) -> RunningBroker:
            broker = RunningBroker(
                model, registry=registry_of(endpoints), group=group, **options
            )
            stack.callback(broker.stop)
            return broker

        yield start


def agree(count: int, *brokers: RunningBroker) -> None:
    """Wait until the brokers have the same clients, this many."""

    def same() -> bool:
        found = [
            {client.session for client in _status_of(broker).clients}
            for broker in brokers
        ]
        return len(found[0]) == count and all(each == found[0] for each in found)

    wait_for(same, f"all brokers have {count} clients", START_S)


def _status_of(broker: RunningBroker) -> Status:
    """All pages of the status."""
    return ask("127.0.0.1", broker.port, START_S)


def is_cut_off(broker: RunningBroker) -> bool:
    """Whether a broker reports that it is cut off."""
    registry = _status_of(broker).registry
    assert registry is not None, "it is in a group"
    return registry.cut_off


def publisher_at(broker: RunningBroker, keys: Path | None = None) -> Publisher:
    """A publisher of news that knows this broker."""
    return Publisher(
        topics=["news"],
        broker_port=broker.port,
        bind_port=0,
        indefinite=True,
        keys=keys,
    )


def subscriber_at(broker: RunningBroker, keys: Path | None = None) -> Subscriber:
    """A subscriber of news that knows this broker."""
    return Subscriber(
        topics=["news"], broker_port=broker.port, indefinite=True, keys=keys
    )


def exchange(
    one: RunningBroker, other: RunningBroker, security: Security | None = None
) -> None:
    """A publisher at one broker reaches a subscriber at the other."""
    keys: tuple[Path | None, Path | None] = (None, None)
    if security is not None:
        keys = (security.publisher, security.subscriber)
    with (
        subscriber_at(other, keys[1]) as subscriber,
        publisher_at(one, keys[0]) as publisher,
    ):
        receiver = Receiver(subscriber)
        publisher.wait_for_subscribers(1, timeout_s=START_S)
        for number in range(20):
            publisher.publish_event("news", b"%d" % number)
        receiver.wait_for_events(20)
        receiver.stop()
        receiver.check_order()


class IdleClients:
    """Subscribers that only renew their leases."""

    def __init__(self, ports: Sequence[int], count: int) -> None:
        """Register them in turn at the brokers at ``ports``."""
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 2 * count + 16)
        self._ids = itertools.count(1)
        self._sockets: list[tuple[zmq.Socket[bytes], int]] = []
        for number in range(count):
            dealer = self._context.socket(zmq.DEALER)
            dealer.linger = 0
            dealer.rcvtimeo = round(START_S * 1000)
            dealer.connect(f"tcp://127.0.0.1:{ports[number % len(ports)]}")
            request = Register(
                id=next(self._ids),
                versions=VERSIONS,
                role="subscriber",
                topics=[f"topic-{number}"],
                address="127.0.0.1",
                clock="realtime",
            )
            dealer.send(messages.encode(request))
            reply = messages.decode_reply(dealer.recv())
            assert isinstance(reply, messages.Registered), reply
            self._sockets.append((dealer, reply.session))

    def idle(self, seconds: float, interval_s: float = 2.0) -> None:
        """Send heartbeats for this long, one per interval; all get replies."""
        until = time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            for dealer, session in self._sockets:
                request = Heartbeat(id=next(self._ids), session=session)
                dealer.send(messages.encode(request))
            for dealer, _ in self._sockets:
                while not isinstance(
                    reply := messages.decode_reply(dealer.recv()), Alive
                ):
                    pass
                assert reply.known
                assert not reply.cut_off
            time.sleep(max(0.0, began + interval_s - time.monotonic()))

    def close(self) -> None:
        """End the connections."""
        self._context.destroy(linger=0)

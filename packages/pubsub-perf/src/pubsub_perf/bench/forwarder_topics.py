"""Chooses topics that a broker with several forwarders gives to different ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, zip_longest
from typing import Final

import zmq

from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import (
    Disconnect,
    Register,
    Registered,
    TopicPort,
)
from pubsub_common.protocol.versions import VERSIONS
from pubsub_perf.bench.workload.job import TOPIC
from pubsub_perf.bench.workload.ports import wait_for_port

_READY_S: Final = 60.0


def topics_of(publishers: int, forwarders: int, control_port: int) -> tuple[str, ...]:
    """A topic for each publisher; with several forwarders, topics of different ones.

    Raises:
        PubSubError: the broker did not report its ports.
    """
    if publishers == 1:
        return (TOPIC,)
    names = [f"{TOPIC}{number}" for number in range(publishers)]
    if forwarders == 1:
        return tuple(names)
    # The broker decides which topic a forwarder has; enough for one each, in practice.
    names += [f"{TOPIC}{number}" for number in range(publishers, 16 * publishers)]
    wait_for_port(control_port, _READY_S)
    return spread(_ports_of(names, control_port), publishers)


def spread(ports: Mapping[str, TopicPort], count: int) -> tuple[str, ...]:
    """``count`` topics that take turns at the ports, of ``ports`` (topic to port)."""
    by_port: dict[TopicPort, list[str]] = {}
    for topic, port in ports.items():
        by_port.setdefault(port, []).append(topic)
    turns = zip_longest(*by_port.values())
    topics = (topic for turn in turns for topic in turn if topic is not None)
    return tuple(islice(topics, count))


def _ports_of(topics: Sequence[str], control_port: int) -> Mapping[str, TopicPort]:
    """The forwarders' ports of these topics, as a centralized broker tells a subscriber."""
    request = Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=list(topics),
        address="127.0.0.1",
        clock="monotonic",
    )
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(f"tcp://127.0.0.1:{control_port}")
        dealer.send(messages.encode(request))
        if not dealer.poll(round(_READY_S * 1000)):
            raise PubSubError("the broker does not answer")
        reply = messages.decode_reply(dealer.recv())
        if not isinstance(reply, Registered):
            raise PubSubError(f"the broker did not report its ports: {reply}")
        dealer.send(messages.encode(Disconnect(id=2, session=reply.session)))
        dealer.poll(round(_READY_S * 1000))
        return reply.ports

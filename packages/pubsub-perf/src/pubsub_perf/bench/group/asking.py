"""Sends one request to a broker on loopback, by the control protocol."""

from __future__ import annotations

from typing import TypeVar

import zmq

from pubsub_common import defaults
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Hello, HelloReply, Reply, Request

_Answer = TypeVar("_Answer", bound=Reply)


def ask_hello(port: int, timeout_s: float) -> HelloReply:
    """The broker's answer to a hello at ``port``.

    Raises:
        PubSubError: it does not answer.
    """
    return ask(port, Hello(id=1), HelloReply, timeout_s)


def ask(port: int, request: Request, kind: type[_Answer], timeout_s: float) -> _Answer:
    """The answer of this ``kind``.

    Raises:
        PubSubError: there is none in time, or another one.
    """
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(f"tcp://{defaults.LOOPBACK}:{port}")
        dealer.send(messages.encode(request))
        if not dealer.poll(round(timeout_s * 1000)):
            raise PubSubError(f"the broker at port {port} does not answer")
        answer = messages.decode_reply(dealer.recv())
    if not isinstance(answer, kind):
        raise PubSubError(f"the broker at port {port} answers {answer!r}")
    return answer

"""Asks a broker for its status at its control port, as any client may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pubsub_common.errors import (
    BrokerUnreachable,
    HandshakeFailed,
    ProtocolError,
    PubSubError,
)
from pubsub_common.protocol.messages import Error, Status

if TYPE_CHECKING:
    from pubsub_common.security.keys import ClientKeys


def ask(
    address: str, port: int, timeout_s: float, keys: ClientKeys | None = None
) -> Status:
    """The status of the broker at ``address:port``.

    Raises:
        BrokerUnreachable: no answer came within ``timeout_s`` seconds.
        HandshakeFailed: the broker wants other keys, or none.
        PubSubError: the answer was not a status.
    """
    import zmq

    from pubsub_common.net.sockets import endpoint
    from pubsub_common.protocol import messages
    from pubsub_common.security.handshake_failure import (
        ClientHandshakeMonitor,
        explain,
        probe_reason,
    )

    where = endpoint(address, port)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        if keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(dealer, keys.pair, keys.broker)
        with ClientHandshakeMonitor(dealer) as watch:
            dealer.connect(where)
            dealer.send(messages.encode(messages.StatusRequest(id=1)))
            failure = watch.wait_for_input(timeout_s)
        if failure is not None:
            path = None if keys is None else keys.path
            here = f"{address}:{port}"
            failure = probe_reason(failure, here, with_keys=keys is not None)
            raise HandshakeFailed(explain(failure, here, path))
        if not dealer.poll(0):
            raise BrokerUnreachable(where, timeout_s)
        try:
            reply = messages.decode_reply(dealer.recv())
        except ProtocolError as error:
            raise PubSubError(
                f"{where} sent an invalid control message: {error}"
            ) from error
    if isinstance(reply, Error):
        raise PubSubError(f"the broker at {address}:{port} says: {reply.detail}")
    if not isinstance(reply, Status):
        raise PubSubError(f"{where} sent no status: {reply}")
    return reply

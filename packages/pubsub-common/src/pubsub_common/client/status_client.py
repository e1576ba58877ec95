"""Requests the status of a broker at its control port, like any client."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from pubsub_common.errors import (
    BrokerUnreachable,
    HandshakeFailed,
    ProtocolError,
    PubSubError,
)
from pubsub_common.protocol.messages import Error, Status

if TYPE_CHECKING:
    import zmq

    from pubsub_common.security.keys import ClientKeys

# How long to wait when this address has sent too many requests.
_LATER_S: Final = 0.1
# The files of a context, its socket and the monitor of its handshake.
_FILES: Final = 14


def ask(
    address: str,
    port: int,
    timeout_s: float,
    keys: ClientKeys | None = None,
    *,
    whole: bool = True,
) -> Status:
    """The status of the broker at ``address:port``, with all its clients or, unless
    ``whole``, the first page of them. The pages are requested one after the other.

    Raises:
        BrokerUnreachable: no answer within ``timeout_s`` seconds, or the connection
            was refused.
        HandshakeFailed: the broker requires other keys, or none.
        TooFewFiles: this process may open too few files.
        PubSubError: the answer is not a status.
    """
    import zmq

    from pubsub_common.net.open_files import check_open_files
    from pubsub_common.net.sockets import connect, endpoint
    from pubsub_common.security.handshake_failure import (
        ClientHandshakeMonitor,
        FailureReason,
        explain,
        probe_reason,
    )

    check_open_files("asking for the status", _FILES)
    where = endpoint(address, port)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        if keys is not None:
            from pubsub_common.security.keys import configure_curve_client

            configure_curve_client(dealer, keys.pair, keys.broker)
        pages = _Pages(dealer, where, timeout_s)
        with ClientHandshakeMonitor(dealer, attempts=True) as watch:
            connect(dealer, where)
            pages.request(0)
            failure = watch.wait_for_input(timeout_s)
        if failure is None:
            return pages.read(whole=whole)
    if failure.reason is FailureReason.NOT_CONNECTED:
        raise BrokerUnreachable(where, 0.0, _found(where))
    path = None if keys is None else keys.path
    here = f"{address}:{port}"
    failure = probe_reason(failure, here, with_keys=keys is not None)
    raise HandshakeFailed(explain(failure, here, path))


def _found(where: str, waited_s: float = math.inf) -> str:
    from pubsub_common.security.greeting_probe import explain, look

    return explain(look(where.removeprefix("tcp://")), waited_s)


class _Pages:
    """The pages of one report, from a socket that is connected to a broker."""

    def __init__(self, dealer: zmq.Socket[bytes], where: str, timeout_s: float) -> None:
        self._dealer = dealer
        self._where = where
        self._timeout_s = timeout_s
        self._id = 0
        self._deadline = 0.0

    def request(self, from_session: int) -> None:
        """Request the page that begins with this session."""
        from pubsub_common.protocol import messages

        self._id += 1
        self._deadline = time.monotonic() + self._timeout_s
        request = messages.StatusRequest(id=self._id, from_session=from_session)
        self._dealer.send(messages.encode(request))

    def read(self, *, whole: bool) -> Status:
        """Read the report, after `request` for its first page."""
        import msgspec

        first = last = self._page(0)
        clients, expected = list(first.clients), list(first.expected)
        while whole and last.next_session is not None:
            self.request(last.next_session)
            last = self._page(last.next_session)
            clients += last.clients
            expected += last.expected
        return msgspec.structs.replace(
            first, clients=clients, expected=expected, next_session=last.next_session
        )

    def _page(self, from_session: int) -> Status:
        """The requested page; requests it again when the broker says "later"."""
        from pubsub_common.protocol.messages import TOO_FAST

        deadline = self._deadline  # of the first request
        while True:
            reply = self._reply(deadline)
            if isinstance(reply, Status):
                return reply
            if reply.code != TOO_FAST or time.monotonic() + _LATER_S >= deadline:
                raise PubSubError(f"the broker at {self._where} says: {reply.detail}")
            time.sleep(_LATER_S)
            self.request(from_session)

    def _reply(self, deadline: float) -> Status | Error:
        from pubsub_common.protocol import messages
        from pubsub_common.protocol.undecodable import unknown_reply

        data = self._receive(deadline)
        while unknown_reply(data) is not None:
            data = self._receive(deadline)
        try:
            reply = messages.decode_reply(data)
        except ProtocolError as error:
            raise PubSubError(
                f"{self._where} sent an invalid control message: {error}"
            ) from error
        if isinstance(reply, Status | Error):
            return reply
        raise PubSubError(f"{self._where} sent no status: {reply}")

    def _receive(self, deadline: float) -> bytes:
        left_s = max(0.0, deadline - time.monotonic())
        if not self._dealer.poll(round(left_s * 1000)):
            found = _found(self._where, self._timeout_s)
            raise BrokerUnreachable(self._where, self._timeout_s, found)
        return self._dealer.recv()

"""What the socket monitor's events mean."""

from __future__ import annotations

import pytest
import zmq
from support.ports import unused_port

from pubsub_common.security.handshake_failure import (
    ClientHandshakeMonitor,
    FailureReason,
    HandshakeFailure,
    HandshakeFailureDetector,
    explain,
)

MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)


def test_what_libzmq_does_not_try_again_is_certain() -> None:
    judge = HandshakeFailureDetector()

    assert judge.take(int(zmq.EVENT_HANDSHAKE_FAILED_AUTH), 400) == HandshakeFailure(
        FailureReason.KEY_REJECTED, retrying=False
    )
    assert judge.take(
        int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL), MISMATCH
    ) == HandshakeFailure(FailureReason.SECURITY_MISMATCH, retrying=False)


def test_a_server_that_hangs_up_once_may_have_ended() -> None:
    judge = HandshakeFailureDetector()
    disconnected = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)

    assert [judge.take(disconnected, 104) for _ in range(5)] == [
        None,
        None,
        HandshakeFailure(FailureReason.DISCONNECTED, retrying=True),
        None,
        None,
    ]
    judge.take(int(zmq.EVENT_HANDSHAKE_SUCCEEDED), 0)
    assert judge.take(disconnected, 104) is None


def test_some_refused_connections_are_certain_unless_one_is_made() -> None:
    judge = HandshakeFailureDetector()
    closed = int(zmq.EVENT_CLOSED)
    failure = HandshakeFailure(FailureReason.NOT_CONNECTED, retrying=True)

    assert [judge.take(closed, 9) for _ in range(4)] == [None, None, failure, None]
    judge.take(int(zmq.EVENT_CONNECTED), 9)
    assert [judge.take(closed, 9) for _ in range(3)] == [None, None, failure]


@pytest.mark.parametrize("why", FailureReason)
@pytest.mark.parametrize("keys", [None, "alice.keys"])
def test_each_failure_is_one_line_that_says_what_to_do(
    why: FailureReason, keys: str | None
) -> None:
    text = explain(HandshakeFailure(why, retrying=False), "10.0.0.1:5555", keys)

    assert "10.0.0.1:5555" in text
    assert "\n" not in text
    if why is FailureReason.NOT_CONNECTED:  # no key was looked at
        return
    if keys is None and why is not FailureReason.KEY_REJECTED:
        assert "--keys" in text
    if keys is not None:
        assert keys in text


@pytest.mark.parametrize("attempts", [False, True])
def test_connections_that_cannot_be_made_are_failures_where_asked_for(
    context: zmq.Context[zmq.Socket[bytes]], attempts: bool
) -> None:
    with unused_port() as port, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        with ClientHandshakeMonitor(dealer, attempts=attempts) as monitor:
            dealer.connect(f"tcp://127.0.0.1:{port}")
            failure = monitor.wait_for_input(60.0 if attempts else 0.5)

    assert (failure is not None) == attempts
    if failure is not None:
        assert failure.reason is FailureReason.NOT_CONNECTED

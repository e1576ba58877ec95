"""The answers to libzmq's questions about handshakes."""

from __future__ import annotations

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from pubsub_common.net.contexts import new_context, terminate_context
from pubsub_common.security.zap_server import ZapServer, zap_reply

KEY = bytes(range(32))
PUBLIC = z85.encode(KEY)
REQUEST = [b"1.0", b"7", b"pubsub", b"10.0.0.9", b"", b"CURVE", KEY]


def test_an_allowed_key_is_admitted_under_its_name() -> None:
    asked: list[tuple[str, str]] = []

    def allows(key: str, address: str) -> bool:
        asked.append((key, address))
        return True

    assert zap_reply(REQUEST, allows) == [b"1.0", b"7", b"200", b"", PUBLIC, b""]
    assert asked == [(PUBLIC.decode(), "10.0.0.9")]


def test_a_key_that_is_not_allowed_is_rejected() -> None:
    reply = zap_reply(REQUEST, lambda _key, _address: False)

    assert reply[:3] == [b"1.0", b"7", b"400"]
    assert reply[4] == b""


@given(
    st.integers(0, 6),
    st.binary(max_size=40),
    st.booleans(),
)
def test_anything_else_is_rejected(place: int, other: bytes, short: bool) -> None:
    request = list(REQUEST)
    if short:
        del request[place]
    else:
        request[place] = other
    fits = (
        len(request) == 7
        and (request[0], request[5]) == (b"1.0", b"CURVE")
        and len(request[6]) == 32
    )

    reply = zap_reply(request, lambda _key, _address: True)

    assert (reply[2] == b"200") is fits
    assert len(reply) == 6


def test_a_second_one_in_a_context_leaves_no_socket_behind() -> None:
    context = new_context()
    ZapServer(context, lambda _key, _address: True)
    with pytest.raises(zmq.ZMQError):
        ZapServer(context, lambda _key, _address: True)
    assert terminate_context(context)

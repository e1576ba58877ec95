"""Keys as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from pubsub_common.security.z85 import KEY_LENGTH, is_key


@given(st.binary(min_size=32, max_size=32))
def test_what_libzmq_writes_is_a_key(key: bytes) -> None:
    assert is_key(z85.encode(key).decode())


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"0" * KEY_LENGTH,
        "",
        "0" * (KEY_LENGTH - 1),
        "0" * (KEY_LENGTH + 1),
        "é" + "0" * (KEY_LENGTH - 1),
        '"' + "0" * (KEY_LENGTH - 1),
        "0" * (KEY_LENGTH - 1) + "\n",
        "#" * KEY_LENGTH,  # more than 4 bytes hold
    ],
)
def test_an_invalid_key(text: object) -> None:
    assert not is_key(text)

"""Only the client that got a session can use it again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.security.session_signature import SIGNATURE_BITS, SessionSignature
from pubsub_common.protocol.events import SESSION_BITS

SIGNATURE = SessionSignature(b"secret" * 6)
SESSIONS = st.integers(0, 2**SESSION_BITS - 1)
ALICE, BOB = "a" * 40, "b" * 40


@given(SESSIONS)
def test_a_session_is_genuine_with_its_own_key(number: int) -> None:
    session = SIGNATURE.sign(number, ALICE)

    assert 0 <= session < 2**SESSION_BITS
    assert session >> SIGNATURE_BITS == number >> SIGNATURE_BITS
    assert SIGNATURE.is_genuine(session, ALICE)
    assert SIGNATURE.sign(session, ALICE) == session


def test_it_is_not_with_another_key_or_another_secret() -> None:
    other = SessionSignature(b"other" * 8)
    numbers = random.Random(1)
    for _ in range(1000):
        session = SIGNATURE.sign(numbers.getrandbits(SESSION_BITS), ALICE)
        assert not SIGNATURE.is_genuine(session, BOB)
        assert not other.is_genuine(session, ALICE)
        assert not SIGNATURE.is_genuine(session ^ 1, ALICE)
        assert not SIGNATURE.is_genuine(session ^ 1 << SIGNATURE_BITS, ALICE)

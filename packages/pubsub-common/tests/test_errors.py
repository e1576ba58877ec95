"""The errors: their tree and their texts."""

from __future__ import annotations

import pytest

import pubsub_common
from pubsub_common import errors
from pubsub_common.errors import (
    BrokerUnreachable,
    CannotListen,
    ConfigError,
    HandshakeFailed,
    NotReady,
    ProtocolError,
    PubSubError,
    RegistrationRefused,
)


@pytest.mark.parametrize(
    "kind",
    [
        *(ConfigError, CannotListen, BrokerUnreachable, RegistrationRefused),
        *(HandshakeFailed, NotReady, ProtocolError),
    ],
)
def test_every_error_is_a_pubsub_error_and_exported(kind: type[PubSubError]) -> None:
    assert issubclass(kind, PubSubError)
    assert kind.__name__ in pubsub_common.__all__
    assert kind.__name__ in str(errors.__doc__)


def test_an_unreachable_broker_is_named_with_the_time_spent() -> None:
    error = BrokerUnreachable("tcp://10.0.0.1:5555", 30.0)

    assert (error.endpoint, error.waited_s) == ("tcp://10.0.0.1:5555", 30.0)
    assert "tcp://10.0.0.1:5555 within 30 s" in str(error)


def test_a_refusal_carries_its_code_and_says_why() -> None:
    error = RegistrationRefused("wrong_model", "this broker is centralized")

    assert (error.code, error.detail) == ("wrong_model", "this broker is centralized")
    assert str(error) == (
        "the broker rejected the registration: this broker is centralized"
    )


def test_a_registration_that_ended_was_not_refused() -> None:
    error = RegistrationRefused("revoked", "its keys were revoked", ended=True)

    assert str(error) == "the broker ended the registration: its keys were revoked"


def test_a_reason_that_was_said_before_is_not_said_again_but_is_there() -> None:
    assert str(HandshakeFailed("no keys")) == "no keys"

    error = HandshakeFailed("no keys", "gave up")

    assert (str(error), error.reason) == ("gave up", "no keys")
    assert error.__notes__ == ["no keys"]  # which a traceback shows


@pytest.mark.parametrize(
    "error",
    [
        NotReady("not yet"),
        BrokerUnreachable("tcp://127.0.0.1:1", 2.5),
        RegistrationRefused("bad_topic", "no", ended=True),
        HandshakeFailed("no keys"),
        HandshakeFailed("no keys", "gave up"),
    ],
)
def test_a_copy_says_the_same_and_has_been_raised_nowhere(error: PubSubError) -> None:
    error.__cause__ = ValueError()
    try:
        raise error
    except PubSubError:
        copy = errors.copy_of(error)
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert copy.__cause__ is error.__cause__
    assert copy.__traceback__ is None

"""URLs of brokers, wherever a broker is named."""

from __future__ import annotations

import pytest

from pubsub_common.errors import ConfigError
from pubsub_common.protocol.broker_url import parse_url, topics_in
from pubsub_common.protocol.endpoints import broker_endpoints


@pytest.mark.parametrize(
    ("text", "brokers", "topic"),
    [
        ("10.0.0.1", "10.0.0.1", None),
        ("", "", None),
        ("pubsub://10.0.0.1", "10.0.0.1", None),
        ("pubsub://10.0.0.1/", "10.0.0.1", None),
        ("pubsub://lab:6000/weather", "lab:6000", "weather"),
        ("pubsub://[::1]:6000/a/b", "[::1]:6000", "a/b"),
        ("pubsub://a,b:2/sensors/+/#", "a,b:2", "sensors/+/#"),
        ("PubSub://a/Weather", "a", "Weather"),
        ("pubsub://a/50%25%20%E2%82%AC?x=1", "a", "50% \u20ac?x=1"),
    ],
)
def test_a_url_is_brokers_and_a_topic(
    text: str, brokers: str, topic: str | None
) -> None:
    assert parse_url(text) == (brokers, topic)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pubsub://", "names no broker: pubsub://HOST:PORT/TOPIC"),
        ("pubsub:///weather", "names no broker"),
        ("PUBSUB://", "names no broker"),
        ("mqtt://lab/weather", "the URL of a broker begins with pubsub://"),
        ("tcp://10.0.0.1:5555", "the URL of a broker begins with pubsub://"),
    ],
)
def test_what_is_no_url_of_a_broker_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_url(text)


def test_roles_take_a_url_as_their_broker() -> None:
    assert broker_endpoints("pubsub://10.0.0.1/weather", 6000) == (("10.0.0.1", 6000),)
    assert broker_endpoints(["pubsub://a:1/x", "b"], None) == (("a", 1), ("b", 5555))
    assert topics_in(["pubsub://a:1/x", "b", "pubsub://c/y"]) == ("x", "y")
    assert topics_in("a") == ()

"""The options of a publisher."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from pubsub_common.errors import ConfigError
from pubsub_publisher import Publisher
from pubsub_publisher.aio import Publisher as AsyncPublisher
from pubsub_publisher.config import PublisherConfig


@pytest.mark.parametrize("shell", [Publisher, AsyncPublisher])
def test_both_shells_take_them_as_arguments_or_as_one_value(shell: Any) -> None:
    parameters = inspect.signature(shell).parameters
    fields = list(dataclasses.fields(PublisherConfig))
    assert list(parameters) == [field.name for field in fields]
    assert [parameter.default for parameter in parameters.values()] == [
        field.default for field in fields
    ]
    assert [p.kind is p.KEYWORD_ONLY for p in parameters.values()] == [
        field.kw_only for field in fields
    ]

    config = PublisherConfig(topics=["A"], history=3)
    assert shell.from_config(config).config == config
    assert shell(topics=["A"], history=3).config == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("broker_address", None),
        ("topics", "news"),
        ("topics", [1]),
        ("indefinite", 1),
        ("max_event_count", "5"),
        ("max_event_count", True),
        ("sleep_period", "1"),
        ("bind_port", 5556.0),
        ("broker_port", "5555"),
        ("address", 1),
        ("clock", None),
        ("connect_timeout_s", None),
        ("connect_timeout_s", float("inf")),
        ("attach_timeout_s", -1),
        ("overflow", 1),
        ("queue_limit", "5"),
        ("payload_bytes", 1.0),
        ("arrivals", "often"),
        ("arrivals", None),
        ("arrivals_seed", 1.5),
        ("arrivals_seed", -1),
        ("linger_s", float("inf")),
        ("linger_s", None),
        ("on_sent", 5),
        ("history", "1"),
        ("history_bytes", None),
        ("history_total", 0),
        ("history_total", None),
        ("strengths", "5"),
        ("strengths", {"A": "5"}),
        ("keys", 5),
    ],
)
@pytest.mark.parametrize("shell", [Publisher, AsyncPublisher])
def test_a_wrong_type_is_named(shell: Any, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name.removesuffix("s")):
        shell(**{"topics": ["A"], name: value})


def test_topics_may_come_from_a_generator_once() -> None:
    config = PublisherConfig(topics=(name for name in "AB"))

    assert config.topics == ("A", "B")
    assert Publisher.from_config(config).topics == ("A", "B")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.history = 5  # type: ignore[misc]


def test_a_url_names_the_broker_and_the_topic() -> None:
    url = "pubsub://10.0.0.1:6000/weather"

    config = PublisherConfig(broker_address=url)
    assert (config.brokers(), config.topics) == ((("10.0.0.1", 6000),), ("weather",))
    config.validate()
    assert PublisherConfig(broker_address=url, topics=["news"]).topics == ("news",)

"""Options become configs, and complaints name the option."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pubsub_common import validation
from pubsub_common.cli import role_config
from pubsub_common.errors import ConfigError

USAGE = """
Usage: program [options]

Options:
  --lease SECONDS         how long
  --queue-limit N         how many
  --payload-size BYTES    how large
"""
OPTIONS: dict[str, Any] = {
    "--broker-address": "10.0.0.1",
    "--topic": ["A", "B"],
    "--broker-port": "5555",
    "--address": None,
    "--clock": "realtime",
    "--connect-timeout": "30",
    "--attach-timeout": "0.5",
    "--keys": None,
    "--name": "desk",
}


@dataclasses.dataclass
class Config:
    lease_s: float = 1.0
    queue_limit: int = 1
    payload_bytes: int = 1
    secret: int = 1

    def validate(self) -> None:
        validation.seconds("lease_s", self.lease_s, zero=False)
        validation.queue_limit(self.queue_limit)
        validation.at_least("payload_bytes", self.payload_bytes)
        validation.at_least("secret", self.secret)


def test_a_config_that_is_fine_is_given_back() -> None:
    config = Config()
    assert role_config.validated(config, USAGE) is config


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (Config(lease_s=0.0), "--lease must be more than 0 seconds: 0.0"),
        (Config(queue_limit=0), "--queue-limit must be in 1..2147483647: 0"),
        (Config(payload_bytes=0), "--payload-size must be at least 1: 0"),
        (Config(secret=0), "secret must be at least 1: 0"),  # no option is its
    ],
)
def test_a_complaint_names_the_option(config: Config, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        role_config.validated(config, USAGE, {"payload_bytes": "--payload-size"})
    assert str(raised.value) == complaint


def test_clients_have_arguments_alike() -> None:
    assert role_config.client_arguments(OPTIONS) == {
        "broker_address": "10.0.0.1",
        "topics": ("A", "B"),
        "broker_port": 5555,
        "address": None,
        "clock": "realtime",
        "connect_timeout_s": 30.0,
        "attach_timeout_s": 0.5,
        "keys": None,
        "name": "desk",
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--broker-address", "bro/ker"),
        ("--address", "no/where"),
        ("--attach-timeout", "soon"),
        ("--broker-port", "70000"),
    ],
)
def test_what_is_wrong_with_a_clients_option_names_it(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{option}: '?{value}"):
        role_config.client_arguments(OPTIONS | {option: value})

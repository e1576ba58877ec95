"""Which machines can reach a broker, and the warning about it."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from typing import Any

import pytest

from pubsub_broker import Broker
from pubsub_broker.config import BrokerConfig, open_access_warning
from pubsub_common.errors import ConfigError

IN_A_GROUP: dict[str, Any] = {
    "registry": "etcd://10.0.0.1,10.0.0.2:4000",
    "group": "lab",
}
# In its own network, where 10.0.0.1 belongs to this machine.
SERVE = """
from pubsub_broker import cli, broker
broker.Broker.event_loop = lambda self: None
cli.main(["--bind", "10.0.0.1", "--port", "5555"])
"""


@pytest.mark.parametrize("host", ["10.0.0.1:80", "a b", "224.0.0.1"])
def test_only_an_address_of_a_host_can_be_served(host: str) -> None:
    with pytest.raises(ConfigError):
        BrokerConfig(bind=host).validate()


@pytest.mark.parametrize(
    "option",
    [
        {"max_clients": 0},
        {"max_clients_per_address": 0},
        {"max_registrations_per_second": 0.09},
        {"max_registrations_per_second": float("inf")},
        {"max_registrations_per_second": float("nan")},
        {"max_topics_per_client": 0},
        {"max_topics_per_client": 10**9},
        {"max_event_count": 0},
        {"lease_s": 0.0},
        {"owner_idle_s": 0.0},
        {"owner_idle_s": float("inf")},
        {"owner_idle_s": "5"},
        {"lease_s": float("nan")},
        {"forwarders": 0},
        {"overflow": "wait"},
        {"port": -1},
        {"queue_limit": 0},
        # Of another type
        {"centralized": 1},
        {"indefinite": None},
        {"max_event_count": "5"},
        {"max_event_count": None},
        {"max_event_count": True},
        {"bind": 5},
        {"port": "5555"},
        {"port": 5555.0},
        {"lease_s": "6"},
        {"lease_s": None},
        {"forwarders": "1"},
        {"linger_s": None},
        {"linger_s": float("inf")},
        {"linger_s": "1"},
        {"linger_s": -1},
        {"overflow": None},
        {"queue_limit": "100"},
        {"max_clients": "5"},
        {"max_clients_per_address": 5.0},
        {"max_registrations_per_second": "5"},
        {"max_registrations_per_second": True},
        {"max_topics_per_client": "5"},
        {"state": 5},
        {"secure": 5},
        {"secure": True},
        {"registry": 5},
        {"registry": "10.0.0.1"},
        {"registry": "etcd://10.0.0.1"},  # without a group
        {"group": "lab"},  # without a registry
        {"registry_tls": "/etc/pubsub"},
        {"registry_login": "/etc/pubsub/login.toml"},
        {"group": "a/b", "registry": "etcd://10.0.0.1"},
        {"registry_tls": 5, **IN_A_GROUP},
        {"registry_login": 5, **IN_A_GROUP},
        {"state": "state.json", **IN_A_GROUP},
    ],
)
def test_an_option_that_cannot_work_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(option))}"):
        BrokerConfig(**option).validate()


def test_a_broker_is_made_from_its_options() -> None:
    config = BrokerConfig(centralized=True, port=0, max_event_count=7)

    broker = Broker.from_config(config)

    assert (broker.centralized, broker.port, broker.max_event_count) == (True, 0, 7)
    with pytest.raises(ConfigError, match=r"^forwarders"):
        Broker.from_config(BrokerConfig(forwarders=0))


def test_the_defaults_work() -> None:
    BrokerConfig().validate()


def test_a_broker_can_be_in_a_group() -> None:
    BrokerConfig(**IN_A_GROUP, registry_tls="tls", registry_login="login").validate()


def test_a_constructor_has_the_options_and_their_defaults() -> None:
    _, *given = inspect.signature(Broker.__init__).parameters.values()
    fields = dataclasses.fields(BrokerConfig)
    assert {(each.name, each.default) for each in given} == {
        (each.name, each.default) for each in fields
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.77.1.1"])
@pytest.mark.parametrize("secure", [True, False])
def test_nothing_is_said_where_only_this_machine_reaches(
    host: str, secure: bool
) -> None:
    assert open_access_warning(host, 5555, secure=secure) is None


def test_one_line_warns_of_open_access_and_says_how_to_change_that() -> None:
    line = open_access_warning("192.168.7.1", 5555, secure=False)

    assert line is not None
    assert "\n" not in line
    assert (
        "every client that reaches 192.168.7.1:5555 can publish and subscribe" in line
    )
    assert "pubsub-broker keygen DIR" in line
    assert "--secure DIR" in line
    assert open_access_warning("192.168.7.1", 5555, secure=True) is None


def test_a_broker_that_others_reach_says_so_once() -> None:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    up = "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && ip addr add 10.0.0.1/32 dev lo"
    alone = ["unshare", "--net", *user, "--", "sh", "-c", f'{up} && exec "$@"', "-"]
    try:
        tried = subprocess.run([*alone, "true"], capture_output=True, timeout=100)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if tried.returncode:
        pytest.skip("no network of one's own here")

    done = subprocess.run(
        [*alone, sys.executable, "-c", SERVE],
        capture_output=True,
        text=True,
        timeout=60,
    )

    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].endswith("decentralized broker on 10.0.0.1:5555")
    assert "every client that reaches 10.0.0.1:5555" in lines[1]

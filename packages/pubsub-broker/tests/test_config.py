"""Who can reach a broker, and what is said of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pubsub_broker.config import served_address, warning
from pubsub_common.errors import ConfigError

# In a network of its own, where 10.0.0.1 is this machine's.
SERVE = """
from pubsub_broker import cli, broker
broker.Broker.event_loop = lambda self: None
cli.main(["--bind", "10.0.0.1", "--port", "5555"])
"""


def test_bind_and_address_are_two_names_for_one_thing() -> None:
    assert served_address(None, None) is None
    assert served_address("10.0.0.1", None) == "10.0.0.1"
    assert served_address(None, "10.0.0.1") == "10.0.0.1"
    assert served_address("10.0.0.1", "10.0.0.1") == "10.0.0.1"
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1 or 10\.0\.0\.2"):
        served_address("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("host", ["", "localhost", "0.0.0.0", "224.0.0.1"])
def test_what_is_no_address_of_a_host_is_refused(host: str) -> None:
    if not host:
        assert served_address(host, host) is None
        return
    with pytest.raises(ConfigError):
        served_address(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.77.1.1"])
@pytest.mark.parametrize("secure", [True, False])
def test_nothing_is_said_where_only_this_machine_reaches(
    host: str, secure: bool
) -> None:
    assert warning(host, 5555, secure=secure) is None


def test_one_line_says_who_can_come_in_and_how_to_change_that() -> None:
    line = warning("192.168.7.1", 5555, secure=False)

    assert line is not None
    assert "\n" not in line
    assert "anyone who reaches 192.168.7.1:5555 can publish and subscribe" in line
    assert "pubsub-broker keygen DIR" in line
    assert "--secure DIR" in line
    assert warning("192.168.7.1", 5555, secure=True) is None


def test_a_broker_that_others_reach_says_so_once() -> None:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    up = "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && ip addr add 10.0.0.1/32 dev lo"
    alone = ["unshare", "--net", *user, "--", "sh", "-c", f'{up} && exec "$@"', "-"]
    try:
        tried = subprocess.run([*alone, "true"], capture_output=True, timeout=20)
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
    assert "anyone who reaches 10.0.0.1:5555" in lines[1]

"""IPv6 like on real machines, in a network namespace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from support.paths import ROOT

_SCRIPT = ROOT / "tests" / "support" / "ipv6_network.py"
_NAMESPACE = ("unshare", "--map-root-user", "--net")


def _may_unshare() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    tried = subprocess.run(
        [*_NAMESPACE, "ip", "-6", "addr", "add", "::2/128", "dev", "lo"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(
    not _may_unshare(), reason="no namespace with IPv6 can be made here"
)


def _run(what: str) -> list[str]:
    done = subprocess.run(
        [*_NAMESPACE, sys.executable, _SCRIPT, what],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_addresses_of_a_network_are_limited_as_one() -> None:
    first, second, third, of_another_network = _run("limits")

    assert first == second == of_another_network == "registered"
    assert third.startswith("2 clients are registered from 2001:db8::/64, ")


def test_a_kernel_without_ipv6_is_named() -> None:
    missing = "this machine has no IPv6"
    unreachable = "PubSubError: the broker at {} cannot be reached: " + missing
    assert _run("without") == [
        f"CannotListen: cannot listen on [::1]:0: {missing}",
        unreachable.format("[::1]"),
        unreachable.format("[::1]"),
        unreachable.format("[2001:db8::1]"),
    ]


def test_a_name_that_is_loopback_for_its_own_host_only_is_said() -> None:
    (line,) = _run("names")

    assert line.startswith("localhost is 127.0.0.1 here, which no other host reaches")

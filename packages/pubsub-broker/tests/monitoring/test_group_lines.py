"""Lines about the other brokers of a group, and about etcd."""

from __future__ import annotations

import logging

import pytest

from pubsub_broker.monitoring.group_lines import GroupLines, unreachable_warning
from pubsub_broker.registry.changes import (
    BrokerCame,
    BrokerRecord,
    BrokerWent,
    Change,
    Malformed,
    Restored,
)
from pubsub_broker.registry_options import parse_registry

OWN = BrokerRecord(address="10.0.0.1:5555", version="0", policy="a")
OTHER = BrokerRecord(address="10.0.0.2:5555", version="0", policy="a")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> GroupLines:
    caplog.set_level(logging.INFO)
    return GroupLines("lab", "own", 15)


def told(lines: GroupLines, *changes: Change, own: BrokerRecord = OWN) -> None:
    for change in changes:
        lines.told(change, own, 0.0)


def test_others_are_told_of_once_when_they_come_and_when_they_are_gone(
    lines: GroupLines, caplog: pytest.LogCaptureFixture
) -> None:
    told(
        lines,
        BrokerCame("own", OWN, 1),
        BrokerCame("b2", OTHER, 2),
        BrokerCame("b2", OTHER, 3),
        BrokerWent("own", 4),
        BrokerWent("b2", 5),
    )
    assert caplog.messages == [
        "broker 10.0.0.2:5555 is in the group",
        "broker 10.0.0.2:5555 is gone; its clients have 15 s to move",
    ]


def test_a_broker_is_named_by_its_address(lines: GroupLines) -> None:
    told(lines, BrokerCame("b2", OTHER, 1))
    assert lines.address_of("b2") == OTHER.address
    assert lines.address_of("b3") == "b3"


def test_a_policy_that_differs_for_long_is_told_of_once_for_each_difference(
    lines: GroupLines, caplog: pytest.LogCaptureFixture
) -> None:
    different = BrokerRecord(address="10.0.0.2:5555", version="0", policy="b")

    def warned(now: float) -> int:
        lines.tick(now)
        return sum("has other keys" in line for line in caplog.messages)

    told(lines, BrokerCame("b2", different, 1), BrokerCame("b2", different, 2))
    assert warned(9.0) == 0  # an administrator copies it now
    told(lines, BrokerCame("b2", OTHER, 3))
    assert warned(11.0) == 0
    told(lines, BrokerCame("b2", different, 4))
    assert warned(10.0) == warned(99.0) == 1
    lines.compare(BrokerRecord(address="10.0.0.1:5555", version="0", policy="c"), 100.0)
    assert warned(109.0) == 1
    assert warned(110.0) == 2


def test_a_broker_that_is_cut_off_says_so_and_when_it_is_not_any_more(
    lines: GroupLines, caplog: pytest.LogCaptureFixture
) -> None:
    lines.cut_off(False, "", 0.0)
    lines.cut_off(True, "etcd does not answer", 10.0)
    lines.cut_off(False, "etcd does not answer", 71.0)
    first, second, third = caplog.messages
    assert first == "in the group lab"
    assert second.startswith("cut off from etcd: ")
    assert second.endswith(": etcd does not answer")
    assert third == "etcd answers again, after 61 s"


def test_what_is_wrong_in_etcd_is_told_of(
    lines: GroupLines, caplog: pytest.LogCaptureFixture
) -> None:
    told(lines, Restored(7), Malformed(b"/pubsub/lab/clients/\n", "no", 8))
    told(lines, Malformed(b"/pubsub/lab/clients/1", "no", 9))
    restored, malformed = caplog.messages
    assert "at revision 7" in restored
    assert "ignoring an invalid key" in malformed
    assert "\n" not in malformed


@pytest.mark.parametrize(
    ("address", "registry", "warns"),
    [
        ("127.0.0.1:5555", "etcd://127.0.0.1", False),
        ("127.0.0.1:5555", "etcd://127.0.0.1,10.0.0.2", True),
        ("[::1]:5555", "etcd://etcd.lab", True),
        ("10.0.0.1:5555", "etcd://10.0.0.2", False),
    ],
)
def test_an_address_that_others_cannot_reach_is_told_of(
    address: str, registry: str, warns: bool
) -> None:
    line = unreachable_warning(address, parse_registry(registry))
    assert (line is not None) == warns

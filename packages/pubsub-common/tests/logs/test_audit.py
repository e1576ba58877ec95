"""Lines about strangers: each thing is said, floods are not."""

from __future__ import annotations

from pubsub_common.defaults import LOG_INTERVAL_S
from pubsub_common.logs import audit as audit_module
from pubsub_common.logs.audit import Audit


def test_the_first_is_said_at_once() -> None:
    assert (
        Audit().note("10.0.0.9", "key", "turned away", 0.0) == "10.0.0.9: turned away"
    )


def test_more_of_it_is_counted() -> None:
    audit = Audit()
    audit.note("10.0.0.9", "key", "turned away", 0.0)

    assert audit.note("10.0.0.9", "key", "turned away", 1.0) is None
    assert audit.note("10.0.0.9", "key", "another", LOG_INTERVAL_S - 0.1) is None
    assert audit.note("10.0.0.9", "key", "turned away", LOG_INTERVAL_S) == (
        "10.0.0.9: turned away (and 2 more times since the last such line)"
    )


def test_other_addresses_and_other_things_are_said() -> None:
    audit = Audit()

    assert audit.note("10.0.0.9", "key", "turned away", 0.0)
    assert audit.note("10.0.0.8", "key", "turned away", 0.0)
    assert audit.note("10.0.0.9", "topic", "hung up on", 0.0)


def test_a_crowd_of_addresses_is_one_line() -> None:
    audit = Audit()
    most = audit_module._MAX_ADDRESSES
    lines = [
        audit.note(f"10.{n >> 8}.{n & 255}.1", "key", "x", 0.0) for n in range(2 * most)
    ]

    assert sum(line is not None for line in lines) == most + 1
    assert len(audit._heard) == most + 1
    assert audit.note("10.200.0.1", "key", "x", 2 * LOG_INTERVAL_S) == "10.200.0.1: x"
    assert len(audit._heard) == 1

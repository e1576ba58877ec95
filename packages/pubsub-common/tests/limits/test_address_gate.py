"""Who may connect after a flood."""

from __future__ import annotations

from pubsub_common.limits.address_gate import AFTER_FLOOD_S, AddressGate

FLOOD, OTHER = "192.0.2.1", "192.0.2.2"


def test_after_a_flood_an_address_makes_few_connections() -> None:
    gate = AddressGate()
    assert all(gate.admits(FLOOD, 0.0, 0, 1000) for _ in range(100))
    gate.flooded(FLOOD, 1.0)

    admitted = sum(gate.admits(FLOOD, 1.0 + n / 100, 0, 1000) for n in range(1000))
    assert 20 <= admitted <= 25
    assert all(gate.admits(OTHER, 2.0, 0, 1000) for _ in range(100))
    later = 1.0 + AFTER_FLOOD_S + 0.1
    assert all(gate.admits(FLOOD, later, 0, 1000) for _ in range(100))


def test_who_was_declared_in_the_meantime_is_forgiven() -> None:
    gate = AddressGate()
    gate.flooded(FLOOD, 1.0)
    while gate.admits(FLOOD, 1.0, 0, 1000):
        pass
    gate.forgive()

    assert all(gate.admits(FLOOD, 1.0, 0, 1000) for _ in range(100))


def test_an_address_has_as_many_connections_as_it_may() -> None:
    gate = AddressGate()
    admitted = sum(gate.admits(FLOOD, 1.0, 0, 16) for _ in range(100))
    assert admitted == 16
    assert gate.has_refused(FLOOD, 1.5)
    assert not gate.has_refused(OTHER, 1.5)
    # Those that were let in have subscribed, or they are gone.
    assert not gate.admits(FLOOD, 3.0, 16, 16)
    assert gate.admits(FLOOD, 3.0, 15, 16)
    assert gate.admits(FLOOD, 3.0, 15, 40)

"""The owner of a topic does not change when its broker dies, and changes once, for all
subscribers alike, when the owner dies."""

from __future__ import annotations

from chaos_kinds import STRENGTHS
from chaos_logs import now_ns

from .conftest import CLIENTS_S, LEASE_S, NewGroup, within


def test_owners_stay_when_a_broker_dies_and_change_once_when_they_do(
    new_group: NewGroup,
) -> None:
    system = new_group(kind=STRENGTHS, subscribers=3)
    # pub1, which owns A, is at the first broker, pub2 at the second.
    system.begin_spread(2, 3)
    system.wait_agree()
    owner, other = system.publishers
    broker = system.group[0]

    # The judge reports an error if subscribers receive from another one meanwhile.
    broker.running.kill()
    system.wait_left(broker, within(2.0))
    system.wait_flowing()
    system.run_for(CLIENTS_S + 1)
    system.wait_flowing()

    system.owners_may_change(owner)
    killed_ns = now_ns()
    owner.kill()
    system.wait_flowing()
    told = system.gone_after_s(owner, killed_ns)
    assert len(told) == len(system.living_subscribers())
    assert max(told) <= within(LEASE_S + 1)
    assert other.process.alive

    assert system.left_in_error() == []
    verdict = system.finish()
    assert verdict.problems == []
    assert verdict.unexplained == 0

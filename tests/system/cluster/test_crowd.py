"""All clients of a group are at the broker that is killed."""

from __future__ import annotations

from broker_failover.run import measure
from broker_failover.samples import BAR_S, words
from pubsub_common.protocol.messages import Model

from .conftest import size, within


def test_a_crowd_moves_to_the_other_brokers(model: Model) -> None:
    run = measure(model, size(60, 1000), size(20, 30))

    moved_s = run.moved_s()
    assert moved_s is not None, words(run)
    assert moved_s <= within(BAR_S), words(run)
    assert run.lost == 0
    # Both others get a share; all choose at once, so it may be small.
    for counts in list(run.clients.values())[1:]:
        assert (counts[-1][1] or 0) > 0

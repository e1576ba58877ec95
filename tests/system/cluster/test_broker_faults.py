"""A broker of a group is killed, suspended or replaced under load: its clients continue
at the others, no subscriber gets a departure, and no event is lost."""

from __future__ import annotations

from chaos_group import GroupSystem
from chaos_logs import now_ns
from chaos_parts import Publisher

from .conftest import CLIENTS_S, LEASE_S, NewGroup, size, within

PUBLISHERS = size(3, 12)
SUBSCRIBERS = size(3, 12)
# The rate of each publisher: together a thousand per second in the long form.
RATE = size(50, 84)


def begin(system: GroupSystem) -> None:
    """Clients at all brokers in turn, and events."""
    system.begin_spread(PUBLISHERS, SUBSCRIBERS, rate=RATE)
    system.wait_agree()


def end(system: GroupSystem) -> None:
    """All brokers agree, no subscriber got a false departure, and every event is
    accounted for; none is lost."""
    system.wait_agree()
    assert system.left_in_error() == []
    verdict = system.finish()
    assert verdict.problems == []
    assert (verdict.unexplained, verdict.lost) == (0, 0)
    assert verdict.received > 0


def test_a_broker_is_killed(new_group: NewGroup) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    sessions = system.sessions()
    victim = system.group[0]
    assert system.clients_of(victim, seen_by=system.group[1])

    victim.running.kill()

    system.wait_left(victim, within(2.0))
    assert system.sessions() == sessions
    system.wait_flowing()
    # No client's registration ends with that of the broker.
    system.run_for(CLIENTS_S + 1)
    end(system)


def test_a_broker_is_stopped_and_goes_on(new_group: NewGroup) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    victim = system.group[0]

    victim.freeze()
    system.wait_left(victim, within(LEASE_S + 2))
    system.wait_flowing()
    system.run_for(size(6, 30))
    victim.thaw()

    system.wait_agree(within_s=within(2.0))
    system.wait_flowing()
    end(system)


def test_a_rolling_restart(new_group: NewGroup) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    for broker in system.group:
        broker.running.end()
        system.wait_left(broker, within(1.0))
        system.start_at(broker)
        system.wait_flowing()
        system.wait_agree()
    end(system)


def killed(publisher: Publisher) -> int:
    """Kill it; returns the time."""
    publisher.kill()
    return now_ns()


def all_are_told(
    system: GroupSystem, publisher: Publisher, since_ns: int, within_s: float
) -> None:
    """Wait until all subscribers know that it is gone, and check that none knew before
    its lease expired."""
    count = len(system.living_subscribers())
    system.wait_for(
        lambda: len(system.gone_after_s(publisher, since_ns)) >= count,
        "all notifications",
    )
    after_s = system.gone_after_s(publisher, since_ns)
    assert len(after_s) == count
    # Its last heartbeat may have been a third of the lease ago.
    assert min(after_s) >= LEASE_S / 2
    assert max(after_s) <= within_s


def test_a_publisher_is_killed(new_group: NewGroup) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    victim = system.publishers[0]

    all_are_told(system, victim, killed(victim), within(LEASE_S + 1))

    system.wait_flowing()
    system.wait_agree()


def test_a_publisher_is_killed_with_its_broker(new_group: NewGroup) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    victim, broker = system.publishers[0], system.group[0]

    broker.running.kill()
    all_are_told(system, victim, killed(victim), within(CLIENTS_S + 2))

    system.wait_flowing()
    system.wait_agree()


def test_a_publisher_is_killed_with_its_broker_and_the_leader_of_etcd(
    new_group: NewGroup,
) -> None:
    system = new_group(subscribers=SUBSCRIBERS)
    begin(system)
    victim, broker = system.publishers[0], system.group[0]
    assert system.etcd is not None
    leader = system.etcd.leader()

    leader.kill()
    broker.running.kill()
    all_are_told(system, victim, killed(victim), within(CLIENTS_S + 4))

    leader.start()
    system.wait_flowing()
    system.wait_agree()

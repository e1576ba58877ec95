"""Several faults together: injected one after the other, and healed in another order."""

from __future__ import annotations

import signal
from collections.abc import Callable

from chaos_parts import Publisher, Subscriber
from chaos_restarts import restart_publisher
from chaos_system import System

Heal = Callable[[], object]


def overlap(system: System, times: int) -> None:
    """The broker, a publisher and a subscriber: killed or suspended, in any order."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        system.owners_may_change()
        heals: list[Heal] = []
        for hurt in system.rng.sample(
            (hurt_broker, hurt_publisher, hurt_subscriber), 3
        ):
            heals.append(hurt(system))
            system.run_between(0.0, 1.0)
        system.rng.shuffle(heals)
        for heal in heals:
            system.run_between(0.0, 1.5 * system.lease_s)
            heal()
        system.wait_flowing(told=True)


def hurt_broker(system: System) -> Heal:
    if system.rng.random() < 0.3:
        return stop(system.broker.send)
    system.broker.kill()
    return system.start_broker


def hurt_publisher(system: System) -> Heal:
    victim: Publisher = system.rng.choice(system.living_publishers())
    if system.rng.random() < 0.5:
        return stop(victim.process.send)
    victim.kill()
    same_port = system.rng.random() < 0.5
    # It is impossible to wait for a suspended subscriber.
    return lambda: restart_publisher(system, victim, same_port=same_port, wait_for=0)


def hurt_subscriber(system: System) -> Heal:
    victim: Subscriber = system.rng.choice(system.living_subscribers())
    return stop(victim.process.send)


def stop(send: Callable[[signal.Signals], None]) -> Heal:
    """SIGSTOP, until it is healed."""
    send(signal.SIGSTOP)
    return lambda: send(signal.SIGCONT)

"""Faults after which another process replaces one that was killed or stopped normally."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from chaos_parts import Publisher
from chaos_processes import Process
from chaos_system import System

# How long the subscriber waits for late events of a publisher that is gone.
SETTLE_S: Final = 6.0


def kill_broker(system: System, times: int) -> None:
    """Killed, and replaced after a while at the same port."""
    _succeed_broker(system, times, Process.kill)


def replace_broker(system: System, times: int) -> None:
    """It stops normally, and another one starts after a while at the same port."""
    _succeed_broker(system, times, Process.end)


def _succeed_broker(
    system: System, times: int, remove: Callable[[Process], object]
) -> None:
    for _ in range(times):
        system.run_between(0.1, 0.8)
        remove(system.broker)
        system.run_between(0.0, 1.0)
        system.start_broker()
        system.wait_flowing()


def kill_broker_and_publisher(system: System, times: int) -> None:
    """Both together, so that the next broker does not know the missing publisher."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        victim = system.rng.choice(system.living_publishers())
        system.owners_may_change(victim)
        system.broker.kill()
        victim.kill()
        system.run_between(0.0, 1.0)
        system.start_broker()
        system.wait_flowing()
        system.owners_may_change(victim)
        restart_publisher(system, victim, same_port=system.rng.random() < 0.5)
        system.wait_flowing()


def kill_publisher(system: System, times: int) -> None:
    """Another one replaces it, at its port or at a new one."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        victim = system.rng.choice(system.living_publishers())
        system.owners_may_change(victim)
        victim.kill()
        system.run_between(0.0, 1.0)
        restart_publisher(system, victim, same_port=system.rng.random() < 0.5)
        system.wait_flowing()


def give_up_publisher(system: System, times: int) -> None:
    """The same, after its lease has long expired; until then there is only the other
    publisher, which takes over its topics."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        victim = system.rng.choice(system.living_publishers())
        system.owners_may_change(victim)
        victim.kill()
        system.wait_flowing()
        system.run_for(system.lease_s + SETTLE_S + system.rng.uniform(0.5, 1.5))
        system.owners_may_change(victim)
        restart_publisher(system, victim, same_port=system.rng.random() < 0.5)
        system.wait_flowing()


def replace_publisher(system: System, times: int) -> None:
    """One leaves normally, and another one replaces it."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        leaver = system.rng.choice(system.living_publishers())
        system.owners_may_change(leaver, leaving=True)
        leaver.process.end()
        restart_publisher(system, leaver, same_port=system.rng.random() < 0.5)
        system.wait_flowing()


def restart_publisher(
    system: System, victim: Publisher, *, same_port: bool, **more: Any
) -> None:
    """``more`` are options of the worker."""
    name, _, _ = victim.process.name.partition(".")
    options = victim.options | more
    if not same_port:
        del options["bind_port"]
    system.start_publisher(name, **options)


def kill_subscriber(system: System, times: int) -> None:
    """Another one replaces it; with recovery, it requests all earlier events."""
    for _ in range(times):
        system.run_between(0.1, 0.8)
        victim = system.rng.choice(system.living_subscribers())
        victim.process.kill()
        system.run_between(0.0, 1.0)
        name, _, _ = victim.process.name.partition(".")
        options = dict(victim.options)
        if system.recover:
            options["more"] = {**options["more"], "start": "history"}
        successor = system.start_subscriber(name, **options)
        system.wait_for(
            lambda log=successor.log: log.ready_ns,  # type: ignore[misc]
            f"{successor.process.name} is ready",
        )
        system.wait_flowing()

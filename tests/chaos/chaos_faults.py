"""Faults of processes: killed, replaced, suspended, or blocked by each other."""

from __future__ import annotations

import dataclasses
import random
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from chaos_kinds import Kind
from chaos_overlaps import overlap
from chaos_processes import Failed, Process
from chaos_restarts import (
    SETTLE_S,
    give_up_publisher,
    kill_broker,
    kill_broker_and_publisher,
    kill_publisher,
    kill_subscriber,
    replace_broker,
    replace_publisher,
)
from chaos_system import System


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """``inject`` gets a system with flowing events, and leaves one in which they flow
    again. ``times`` is the number of repetitions, ``quick`` the number in the short run
    (0: left out). With ``may_lose`` there are losses that no history repairs."""

    name: str
    inject: Callable[[System, int], None]
    times: int = 2
    quick: int = 0
    may_lose: bool = False
    begin: Callable[[System], None] = System.begin
    system: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    new_system: Callable[..., AbstractContextManager[System]] = System
    rss_kib: int = 24 * 1024
    # The reason why it cannot run here.
    unavailable: Callable[[], str | None] = lambda: None


def stop(role: str, beyond_s: float) -> Callable[[System, int], None]:
    """SIGSTOP for ``beyond_s`` more than the lease, then SIGCONT."""

    def inject(system: System, times: int) -> None:
        for _ in range(times):
            system.run_between(0.1, 0.8)
            process = random_one(system, role)
            if role != "subscriber":
                system.owners_may_change(system.publisher_of(process))
            process.send(signal.SIGSTOP)
            system.run_for(system.lease_s + beyond_s + system.rng.uniform(0.5, 1.5))
            process.send(signal.SIGCONT)
            system.wait_flowing(told=True)

    return inject


def random_one(system: System, role: str) -> Process:
    """A running process of a role."""
    if role == "broker":
        return system.broker
    parts = system.publishers if role == "publisher" else system.subscribers
    return system.rng.choice([part.process for part in parts if part.process.alive])


def take_port(system: System, times: int) -> None:
    """While the broker is down another program takes its port."""
    for _ in range(times):
        system.run_between(0.1, 0.5)
        system.broker.kill()
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind((system.broker_address, system.port))
            squatter.listen()
            refused = system.start("refused", system.broker_argv())
            code = refused.wait()
            refused.killed = True  # it has done its work
            system.run_between(0.1, 1.0)
        refused.check_words()
        if code not in (1, 2) or refused.err.count("\n") != 1:
            raise Failed(f"port taken: code {code}, said {refused.err!r}")
        system.start_broker()
        system.wait_flowing()


def step_clocks(system: System, times: int) -> None:
    """The wall clock goes back by an hour, for all processes or only for the
    publishers."""
    for turn in range(times):
        system.run_between(0.1, 0.5)
        everyone = [system.broker] + [sub.process for sub in system.subscribers]
        stepped = [pub.process for pub in system.publishers]
        for process in stepped + (everyone if turn % 2 == 0 else []):
            process.send(signal.SIGUSR1)
        system.run_between(0.1, 0.5)
        system.wait_flowing()


def begin_generated(system: System) -> None:
    """Like `System.begin`, with the events of `Publisher.publish`."""
    system.start_broker()
    for index in range(2):
        system.start_subscriber(f"sub{index + 1}")
        system.start_publisher(f"pub{index + 1}", generated=True)
    system.note_usage()


def begin_narrow(system: System) -> None:
    """Small queues and many large events."""
    system.start_broker()
    more = {"queue_limit": 500}
    for index in range(2):
        system.start_subscriber(f"sub{index + 1}", more=more)
        system.start_publisher(
            f"pub{index + 1}", rate=400, payload_bytes=8192, more=more
        )
    system.note_usage()


def do_not_read(system: System, times: int) -> None:
    """One subscriber is suspended until much more was published than all queues on the
    way hold, including the kernel's; the other one must not notice."""
    slow, quick = system.subscribers
    for _ in range(times):
        system.run_between(0.1, 0.5)
        slow.process.send(signal.SIGSTOP)
        goal = sum(pub.log.published for pub in system.publishers) + 6000
        system.wait_for(
            lambda goal=goal: (
                sum(pub.log.published for pub in system.publishers)  # type: ignore[misc]
                >= goal
            ),
            "the queues are full",
        )
        slow.process.send(signal.SIGCONT)
        system.wait_flowing()
    lost = [
        run for runs in quick.log.runs.values() for run in runs if run.kind == "lost"
    ]
    if lost:
        raise Failed(f"the subscriber that reads lost {sum(run.count for run in lost)}")


PROCESS_FAULTS: Final = (
    Fault("broker killed", kill_broker, times=4, quick=1),
    # Queued events of a killed publisher are lost, with its history.
    Fault("publisher killed", kill_publisher, times=4, quick=1, may_lose=True),
    Fault("publisher given up", give_up_publisher, times=1, may_lose=True),
    Fault("publisher replaced", replace_publisher),
    Fault("broker replaced", replace_broker),
    Fault("broker and publisher killed", kill_broker_and_publisher, may_lose=True),
    Fault("several at once", overlap, may_lose=True),
    Fault("subscriber killed", kill_subscriber, times=4, quick=1),
    Fault("broker stopped", stop("broker", 0), system={"lease_s": 1.0}),
    Fault("publisher stopped", stop("publisher", 0), quick=1, system={"lease_s": 1.0}),
    Fault("subscriber stopped", stop("subscriber", 0), system={"lease_s": 1.0}),
    Fault("publisher stopped for long", stop("publisher", SETTLE_S), times=1),
    Fault("subscriber stopped for long", stop("subscriber", SETTLE_S), times=1),
    Fault("port taken", take_port),
    Fault("clock stepped back", step_clocks, times=4),
    Fault(
        "clock stepped back, generated events",
        step_clocks,
        begin=begin_generated,
    ),
    Fault(
        "subscriber does not read",
        do_not_read,
        may_lose=True,
        begin=begin_narrow,
        system={"broker_options": ("--queue-limit", 500)},
        rss_kib=96 * 1024,
    ),
)


def seeded(seed: int, fault: Fault, model: str, kind: Kind) -> random.Random:
    """The random numbers of one scenario, independent of other scenarios."""
    kind_name = f"/{kind.name}" if kind.name else ""
    return random.Random(f"{seed}/{fault.name}/{model}{kind_name}")

"""Faults of a group: of its brokers, of their links to etcd, and of etcd itself."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from chaos_faults import Fault
from chaos_group import ALIVE_S, GroupBroker, GroupSystem
from chaos_processes import Failed, Process
from chaos_restarts import restart_publisher
from chaos_system import System
from support.etcd_servers import EtcdCluster, EtcdServer, etcd_cluster

from pubsub_common.protocol.messages import Model

Heal = Callable[[], object]


@contextlib.contextmanager
def group_system(
    folder: Path, model: Model, rng: random.Random, **options: Any
) -> Iterator[System]:
    """Three brokers on three servers of etcd, which end with the block."""
    etcd_folder = folder / "etcd"
    etcd_folder.mkdir()
    with (
        etcd_cluster(etcd_folder, 3) as etcd,
        GroupSystem(folder, model, rng, etcd=etcd, **options) as system,
    ):
        yield system


def no_etcd() -> str | None:
    """The reason why there can be no group; None if there can."""
    if shutil.which("etcd") is None:
        return "there is no etcd (Debian: etcd-server)"
    return None


def begin(system: System) -> None:
    """Publishers and subscribers at all brokers, with one more of each at one broker.
    For owned topics there are as many publishers as owners."""
    group_of(system).begin_spread(2 if system.kind.strengths else 3, 4)


def group_of(system: System) -> GroupSystem:
    assert isinstance(system, GroupSystem)
    return system


def etcd_of(system: GroupSystem) -> EtcdCluster:
    assert system.etcd is not None
    return system.etcd


def settle(system: GroupSystem) -> None:
    """Events flow again, all brokers have the same clients, and no subscriber got a
    false departure."""
    system.wait_flowing(told=True)
    system.wait_agree()
    if wrong := system.left_in_error():
        raise Failed("; ".join(wrong[:6]))


def hurt_and_heal(hurt: Callable[[GroupSystem], Heal]) -> Callable[[System, int], None]:
    """A fault that is healed after a while: within etcd's lease for a broker, or after
    it."""

    def inject(some: System, times: int) -> None:
        system = group_of(some)
        for _ in range(times):
            system.run_between(0.1, 0.8)
            heal = hurt(system)
            system.run_between(0.0, 2 * ALIVE_S)
            heal()
            settle(system)

    return inject


def hurt_several(some: System, times: int) -> None:
    """Two or three overlapping faults; those of brokers hit different ones."""
    system = group_of(some)
    for _ in range(times):
        system.run_between(0.1, 0.8)
        hurts = system.rng.sample(
            (kill_broker, stop_broker, cut_broker_off, kill_member),
            system.rng.randint(2, 3),
        )
        heals = []
        began_s = time.monotonic()
        for hurt in hurts:
            heals.append(hurt(system))
            system.run_between(0.0, 1.0)
        none_is_well = not any(broker.well for broker in system.group)
        system.rng.shuffle(heals)
        for heal in heals:
            system.run_between(0.0, ALIVE_S)
            heal()
        if none_is_well and time.monotonic() - began_s > clients_lease_s(system) - 1:
            # The only serving broker could not write its clients to etcd, which lost
            # them: brokers that come back consider these clients gone until it can.
            system.wait_flowing(told=True)
            system.wait_agree()
            system.forgive_departures()
        settle(system)


def clients_lease_s(system: System) -> float:
    """How long etcd keeps the clients of a dead broker; see `docs/cluster.md`."""
    return 2 * system.lease_s + ALIVE_S


def kill_broker_and_publisher(some: System, times: int) -> None:
    """A publisher dies with its broker, so that no broker ends its lease."""
    system = group_of(some)
    for _ in range(times):
        system.run_between(0.1, 0.8)
        victim = system.rng.choice(system.living_publishers())
        broker = broker_of(system, victim.log.session)
        system.owners_may_change(victim)
        broker.running.kill()
        victim.kill()
        system.run_between(0.0, 2.0)
        restart_publisher(system, victim, same_port=system.rng.random() < 0.5)
        system.run_between(0.0, 2.0)
        system.start_at(broker)
        settle(system)


def broker_of(system: GroupSystem, session: int) -> GroupBroker:
    """The broker of a client."""
    known = system.group[0].sessions() or {}
    where = known.get(session)
    return next((each for each in system.group if str(each) == where), system.group[0])


@contextlib.contextmanager
def pair_system(
    folder: Path, model: Model, rng: random.Random, **options: Any
) -> Iterator[System]:
    """Two brokers that know nothing of each other; one runs at a time."""
    hosts = ("broker",) * 2
    with GroupSystem(folder, model, rng, etcd=None, hosts=hosts, **options) as system:
        yield system


def begin_with_one(some: System) -> None:
    """Clients know both brokers; one of them runs."""
    system = group_of(some)
    system.start_at(system.group[0])
    for index in range(2):
        system.start_subscriber(f"sub{index + 1}")
        system.start_publisher(f"pub{index + 1}", batch=10 if index % 2 else 1)
    system.note_usage()


def stand_by(remove: Callable[[Process], object]) -> Callable[[System, int], None]:
    """The second broker starts before or after the first one dies. At a broker that
    does not know the others yet, subscribers consider unknown publishers gone, and
    still receive from them."""

    def inject(some: System, times: int) -> None:
        system = group_of(some)
        for _ in range(times):
            system.run_between(0.1, 0.8)
            (one,) = system.living_brokers()
            (other,) = system.others(one)
            early = system.rng.random() < 0.5
            if early:
                system.start_at(other)
                system.run_between(0.0, 0.5)
            remove(one.running)
            if not early:
                system.run_between(0.0, 2 * system.lease_s)
                system.start_at(other)
            system.wait_flowing()

    return inject


# Faults, each with its repair


def kill_broker(system: GroupSystem) -> Heal:
    return _remove(system, Process.kill)


def end_broker(system: GroupSystem) -> Heal:
    """Stop normally."""
    return _remove(system, Process.end)


def _remove(system: GroupSystem, remove: Callable[[Process], object]) -> Heal:
    victim = unhurt(system)
    remove(victim.running)
    return lambda: system.start_at(victim)


def stop_broker(system: GroupSystem) -> Heal:
    victim = unhurt(system)
    victim.freeze()
    return victim.thaw


def cut_broker_off(system: GroupSystem) -> Heal:
    victim = unhurt(system)
    victim.cut_off()
    return victim.heal


def kill_member(system: GroupSystem) -> Heal:
    """Kill one of etcd's servers, possibly the leader."""
    victim: EtcdServer = system.rng.choice(etcd_of(system).servers)
    victim.kill()
    return victim.start


def kill_all_members(system: GroupSystem) -> Heal:
    etcd = etcd_of(system)
    for server in etcd.servers:
        server.kill()
    return etcd.start


def unhurt(system: GroupSystem) -> GroupBroker:
    """A broker that runs, answers, and reaches etcd."""
    return system.rng.choice([each for each in system.group if each.well])


def _fault(name: str, inject: Callable[[System, int], None], **more: Any) -> Fault:
    return Fault(
        name,
        inject,
        begin=begin,
        new_system=group_system,
        unavailable=no_etcd,
        **{"times": 5, "system": {"subscribers": 4}, **more},
    )


PAIR: Final[dict[str, Any]] = {"begin": begin_with_one, "new_system": pair_system}
GROUP_FAULTS: Final = (
    Fault(
        "broker killed, another one stands by", stand_by(Process.kill), quick=1, **PAIR
    ),
    Fault("broker ends, another one stands by", stand_by(Process.end), **PAIR),
    _fault("one of three brokers killed", hurt_and_heal(kill_broker), quick=1),
    _fault("one of three brokers stopped", hurt_and_heal(stop_broker)),
    _fault("one of three brokers replaced", hurt_and_heal(end_broker)),
    _fault("one of three brokers cut off", hurt_and_heal(cut_broker_off), quick=1),
    _fault("a server of etcd killed", hurt_and_heal(kill_member)),
    _fault("all servers of etcd killed", hurt_and_heal(kill_all_members)),
    _fault("several of a group at once", hurt_several),
    _fault(
        "a broker of three and a publisher killed",
        kill_broker_and_publisher,
        may_lose=True,
    ),
)

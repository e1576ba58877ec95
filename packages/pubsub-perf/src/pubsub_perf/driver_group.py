"""A group of brokers on this machine, which `pubsub-driver` starts for trying out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pubsub_perf.driver_processes import Process, noted_signals, run_until_ended
from pubsub_perf.hosts.local_etcd import LocalEtcd, local_etcd

GROUP: Final = "local"
# Each has an address of its own, 127.0.0.1 to 127.0.0.64, as if it were a machine.
MAX_BROKERS: Final = 64
# A cluster of more members takes writes more slowly, and bears no more in practice.
MAX_MEMBERS: Final = 7


def addresses_of(brokers: int) -> list[str]:
    """Where the brokers of a group are; each has the same ports as one alone."""
    return [f"127.0.0.{number + 1}" for number in range(brokers)]


def run_group(
    commands: Sequence[Sequence[str]], members: int, say: Callable[[str], None]
) -> None:
    """Run a broker's script once for each of ``commands``, as one group, until all have
    ended, with an etcd of ``members`` members. Each broker gets the signals of this process;
    etcd ends after all brokers. ``say`` prints how to use the group.

    Raises:
        ConfigError: etcd is not installed.
        PubSubError: it does not start, or a broker ended badly.
    """
    with (
        noted_signals() as received,
        local_etcd(members, lambda: bool(received)) as etcd,
    ):
        more = ("--registry", etcd.registry, "--group", GROUP)

        def started(processes: Sequence[Process]) -> None:
            for line in how_to_use(etcd, processes):
                say(line)

        group = [[*words, *more] for words in commands]
        run_until_ended(
            "broker",
            group,
            received,
            started=started,
            labels=addresses_of(len(group)),
        )


def how_to_use(etcd: LocalEtcd, brokers: Sequence[Process]) -> list[str]:
    """Instructions for the group."""
    addresses = addresses_of(len(brokers))
    places = zip(addresses, brokers, strict=True)
    running = ", ".join(f"{address} (process {each.pid})" for address, each in places)
    members = ", ".join(str(each.pid) for each in etcd.processes)
    return [
        f"etcd at {etcd.registry} ({_processes(len(etcd.processes))} {members})",
        f"group {GROUP}, brokers: {running}",
        f"clients join it with: -b {','.join(addresses)}",
        f"its status: pubsub-broker status -b {addresses[0]}; Ctrl-C ends all",
    ]


def _processes(count: int) -> str:
    return "process" if count == 1 else "processes"

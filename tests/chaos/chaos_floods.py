"""Faults from outside: floods of connections, random bytes, a full disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, Final

import zmq
from chaos_faults import Fault
from chaos_processes import WAIT_S, Failed, script, worker
from chaos_system import System

from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Status, StatusRequest

_TMPFS: Final = "size=16k"
# Rows of about 30 bytes: twice the size of the disk.
_ROWS: Final = 1000


def connect_flood(system: System, times: int) -> None:
    """500 connections per second to every port, half TCP, half ZeroMQ."""
    flood(system, what="connects", rate=500, seconds=4.0 * times)


def random_bytes(system: System, times: int) -> None:
    """Random bytes to every port, while events flow."""
    seed = system.rng.randrange(2**32)
    flood(system, what="bytes", rounds=100 * times, seed=seed)
    if not ask_status(system).rejected:
        raise Failed("nothing of it came through to the broker's control loop")


def flood(system: System, **options: Any) -> None:
    """Run the worker to its end, and check that the system continues."""
    processes = [system.broker, *(pub.process for pub in system.publishers)]
    ports = [port for process in processes for port in process.listening_ports()]
    words = {"host": system.broker_address, "ports": ports} | options
    attack = system.start("flood", [*worker("chaos_flood_worker"), json.dumps(words)])
    system.wait_for(lambda: not attack.alive, "the end of the flood")
    attack.end_after_term()
    system.wait_flowing()


def ask_status(system: System) -> Status:
    """The status of the broker."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvtimeo = round(WAIT_S * 1000)
        dealer.connect(f"tcp://{system.broker_address}:{system.port}")
        dealer.send(messages.encode(StatusRequest(id=1)))
        reply = messages.decode_reply(dealer.recv())
    assert isinstance(reply, Status)
    return reply


def fill_disk(system: System, times: int) -> None:
    """A subscriber with a file that does not fit on its disk."""
    for _ in range(times):
        system.run_between(0.1, 0.5)
        disk = system.folder / "disk"
        disk.mkdir(exist_ok=True)
        left = system.folder / "left"
        centralized = ["-c"] if system.model == "centralized" else []
        in_there = (
            f'mount -t tmpfs -o {_TMPFS} none {disk} && "$@"; '
            f"code=$?; ls -A {disk} >{left}; exit $code"
        )
        full = system.start(
            "full",
            [
                *unshare_mounts(),
                *("sh", "-c", in_there, "sh"),
                *(script("pubsub-subscriber"), "-t", "A", "-t", "B", *centralized),
                *("-b", system.broker_address, "--broker-port", system.port),
                *("--address", system.broker_address),
                *("-f", disk / "latencies.csv", "-m", _ROWS),
            ],
        )
        full.killed = True  # it should end by itself
        system.wait_for(lambda full=full: not full.alive, "the end of the disk")  # type: ignore[misc]
        code = full.wait()
        full.check_words()
        said = full.err.strip().splitlines()
        errors = [line for line in said if "No space left" in line]
        if code != 1 or len(errors) != 1 or len(said) != 2 or left.read_text():
            raise Failed(
                f"disk full: code {code}, said {full.err!r}, left {left.read_text()!r}"
            )
        system.wait_flowing()


def unshare_mounts() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "--"]


def no_private_mounts() -> str | None:
    """The reason why there can be no private disk; None if there can."""
    if shutil.which("unshare") is None:
        return "there is no unshare (Debian: util-linux)"
    mount = ["mount", "-t", "tmpfs", "-o", _TMPFS, "none", "/mnt"]
    done = subprocess.run(
        [*unshare_mounts(), *mount],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return " ".join(done.stderr.split()) or None if done.returncode else None


FLOODS: Final = (
    Fault("connections flood", connect_flood),
    Fault("random bytes", random_bytes),
    Fault("disk full", fill_disk, unavailable=no_private_mounts),
)

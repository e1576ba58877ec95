"""Not a test: run by tests inside Mininet's namespaces, prints JSON.

python in_namespaces.py addresses
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pubsub_perf.hosts import namespaces
from pubsub_perf.hosts.mininet import MininetHosts
from pubsub_perf.plan import topologies
from pubsub_perf.plan.cases import Load

ASK = """
from pubsub_broker import Broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber
print(Broker().get_host_address())
print(Publisher("10.0.0.1", ["A"]).get_host_address())
print(Subscriber(None, "10.0.0.1", ["A"]).get_host_address())
print(Publisher("127.0.0.1", ["A"], address="127.0.0.9").get_host_address())
"""


def addresses() -> object:
    """The address that each role chooses, on each of three Mininet hosts, while the
    root namespace has interfaces named like Mininet's and Docker's."""
    for name, address in (("docker0", "172.17.0.1"), ("veth-eth0", "10.9.9.9")):
        subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
        subprocess.run(["ip", "addr", "add", f"{address}/16", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    found = {}
    with (
        MininetHosts(topologies.single_switch(3), Load()) as hosts,
        tempfile.TemporaryDirectory() as folder,
    ):
        for index in range(3):
            log = Path(folder) / str(index)
            with log.open("wb") as file:
                # Any program in the folder of this Python can be spawned.
                process = hosts.spawn(
                    index, ["python", "-c", ASK], folder=Path(folder), log=file
                )
                process.wait(30)
            found[hosts.address(index)] = log.read_text().split()
        in_root = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, text=True, check=False
        )
        found["root"] = in_root.stdout.split() or [in_root.stderr]
    return found


def clocks() -> object:
    """The clock difference that a subscriber on another host than the broker measures.
    All hosts share one kernel, so the true difference is zero."""
    client = ("-t", "A", "-b", "10.0.0.1", "-m")
    with (
        MininetHosts(topologies.single_switch(3), Load()) as hosts,
        tempfile.TemporaryDirectory() as name,
        (Path(name) / "log").open("wb") as log,
    ):
        folder = Path(name)
        broker = hosts.spawn(
            0, ["pubsub-broker", "-c", "--bind", "10.0.0.1"], folder=folder, log=log
        )
        publisher = hosts.spawn(
            1,
            ["pubsub-publisher", *client, "100000", "-s", "0.05"],
            folder=folder,
            log=log,
        )
        # Enough time for the publisher to tell the broker, and the broker the
        # subscriber.
        subscriber = hosts.spawn(
            2,
            ["pubsub-subscriber", "-c", *client, "120", "-f", "x", "--report", "y"],
            folder=folder,
            log=log,
        )
        code = subscriber.wait(60)
        for process in (publisher, broker):
            process.terminate()
            process.wait(20)
        report = json.loads((folder / "y").read_text())
        return {"code": code, "report": report, "log": (folder / "log").read_text()}


ADDRESS_IPV6 = """
import subprocess, sys
from pubsub_broker import Broker
device = f"h{sys.argv[1]}-eth0"
if sys.argv[2] == "ipv6":
    subprocess.run(["ip", "addr", "flush", "dev", device], check=True)
host = f"fd00::{sys.argv[1]}/64"
subprocess.run(["ip", "addr", "add", host, "dev", device, "nodad"], check=True)
print(Broker().get_host_address())
"""
ADDRESSES = """
import subprocess, sys
device = sys.argv[1]
subprocess.run(["ip", "addr", "flush", "dev", device], check=True)
for host in sys.argv[2:]:
    subprocess.run(["ip", "addr", "add", host, "dev", device], check=True)
"""


class Network:
    """Three Mininet hosts, and programs on them that end with the block."""

    def __enter__(self) -> Network:
        with contextlib.ExitStack() as stack:
            self._hosts = stack.enter_context(
                MininetHosts(topologies.single_switch(3), Load())
            )
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._log = stack.enter_context((self.folder / "log").open("wb"))
            self._running: list[subprocess.Popen[bytes]] = []
            stack.callback(self.end_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self, index: int, *words: str) -> None:
        """Start a program on a host."""
        self._running.append(self._spawn(index, words))

    def run(self, index: int, *words: str) -> None:
        """Run a program on a host; it must succeed."""
        if self._spawn(index, words).wait(60) != 0:
            raise SystemExit(self.log)

    def received(self, index: int, *words: str) -> list[str]:
        """Publisher and topic of the events at a subscriber on a host."""
        self.run(
            index, *("pubsub-subscriber", "-t", "A", "-m", "20", "-f", "x"), *words
        )
        rows = (self.folder / "x").read_text().splitlines()[1:]
        return sorted({row.rpartition(",")[0] for row in rows})

    def end_all(self) -> None:
        """End the programs of `start`, the last one first."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            process.wait(20)

    def _spawn(self, index: int, words: Sequence[str]) -> subprocess.Popen[bytes]:
        return self._hosts.spawn(index, words, folder=self.folder, log=self._log)


PUBLISHER = ("pubsub-publisher", "-t", "A", "-s", "0.02", "--indefinite")


def ipv6() -> object:
    """What a subscriber that has only IPv6 receives from a publisher that has only IPv4,
    centralized, and from one of IPv6, decentralized, through a secure broker at all
    addresses; and what the hosts take for their addresses."""
    found: dict[str, object] = {}
    broker = ("pubsub-broker", "--bind", "::", "--secure", "keys")
    alice, bob = ("--keys", "keys/alice.keys"), ("--keys", "keys/bob.keys")
    with Network() as network:
        network.run(0, "pubsub-broker", "keygen", "keys", "alice", "bob")
        for number, kinds in ((1, "both"), (2, "both"), (3, "ipv6")):
            network.run(number - 1, "python", "-c", ADDRESS_IPV6, str(number), kinds)
        found["addresses"] = network.log.split()[-3:]
        network.start(0, *broker, "-c")
        network.start(1, *PUBLISHER, "-b", "10.0.0.1", *alice)
        found["centralized"] = network.received(2, "-b", "fd00::1", *bob)
        network.end_all()
        network.start(0, *broker)
        network.start(1, *PUBLISHER, "-b", "[fd00::1]", *alice)
        found["decentralized"] = network.received(2, "-b", "fd00::1", *bob)
        return found | {"log": network.log}


def nat() -> object:
    """What a subscriber outside receives where a router forwards ports: from a publisher
    inside, through a broker inside, and directly from it, as a broker outside tells. Host 0
    is outside, host 1 the router, host 2 inside."""
    found: dict[str, object] = {}
    with Network() as network:
        outside, inside = ("192.0.2.1/24", "10.1.0.1/24")
        network.run(0, "python", "-c", ADDRESSES, "h1-eth0", "192.0.2.2/24")
        network.run(1, "python", "-c", ADDRESSES, "h2-eth0", outside, inside)
        network.run(2, "python", "-c", ADDRESSES, "h3-eth0", "10.1.0.3/24")
        forwarded = [
            *("192.0.2.1:15555", "10.1.0.3:5555", "192.0.2.1:6000", "10.1.0.3:6000"),
            *("10.1.0.1:5555", "192.0.2.2:5555", "192.0.2.1:7000", "10.1.0.3:5556"),
        ]
        relay = Path(__file__).with_name("tcp_relay.py")
        router = ("python", str(relay), *forwarded)
        network.start(1, *router)
        listens = ("--bind", "0.0.0.0")
        network.start(2, "pubsub-broker", "-c", *listens, "--forward-port", "6000")
        network.start(2, *PUBLISHER, "-b", "10.1.0.3")
        found["broker inside"] = network.received(0, "-b", "192.0.2.1:15555")
        network.end_all()
        network.start(1, *router)
        network.start(0, "pubsub-broker", "--bind", "192.0.2.2")
        told = ("--address", "192.0.2.1:7000")
        network.start(2, *PUBLISHER, "-b", "10.1.0.1", *listens, *told)
        found["broker outside"] = network.received(0, "-b", "192.0.2.2")
        return found | {"log": network.log}


if __name__ == "__main__":
    namespaces.enter([__file__, *sys.argv[1:]])
    choices = {"addresses": addresses, "clocks": clocks, "ipv6": ipv6, "nat": nat}
    print(json.dumps(choices[sys.argv[1]]()))

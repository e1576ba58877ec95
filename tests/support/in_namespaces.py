"""Not a test: run by tests inside Mininet's namespaces, prints JSON.

python in_namespaces.py addresses
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
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
    """What each role takes for its address, on each of three Mininet hosts, while the
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
                # Any program can be spawned that lies beside this Python.
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
    """What a subscriber on another host than the broker finds out about the clocks. All
    hosts share one kernel, so in truth they are equal."""
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
        # Long enough for the publisher to tell the broker, and it the subscriber.
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


if __name__ == "__main__":
    namespaces.enter([__file__, *sys.argv[1:]])
    print(json.dumps({"addresses": addresses, "clocks": clocks}[sys.argv[1]]()))

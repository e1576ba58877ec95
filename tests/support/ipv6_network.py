"""Not a test: run by tests in a network namespace of its own, prints JSON.

unshare -rn python ipv6_network.py limits
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import zmq

from pubsub_broker import Broker
from pubsub_common.errors import PubSubError
from pubsub_common.protocol import messages
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.testing.background import running_broker
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

HERE = "2001:db8::1"
OTHERS = ("2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:1::2")


def run(*words: str) -> None:
    """Run a command, which must succeed."""
    subprocess.run(words, check=True)


def limits() -> object:
    """The broker's replies to subscribers from several addresses, two of them from one
    network; and to one that names a foreign address."""
    run("ip", "link", "set", "lo", "up")
    for address in (HERE, *OTHERS):
        run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
    with running_broker(
        Broker(indefinite=True, bind=HERE, port=0, max_clients_per_address=2)
    ) as broker:
        return [answer(broker.port, source) for source in OTHERS]


def answer(port: int, source: str) -> str:
    """The broker's reply to a subscriber that comes from ``source``."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.rcvtimeo = 30_000
        dealer.setsockopt(zmq.IPV6, 1)
        dealer.connect(f"tcp://[{source}]:0;[{HERE}]:{port}")
        dealer.send(messages.encode(registration(f"[{source}]")))
        reply = messages.decode_reply(dealer.recv())
    return getattr(reply, "detail", "registered")


def registration(address: str) -> messages.Register:
    """The registration of a subscriber."""
    return messages.Register(
        id=1,
        versions=VERSIONS,
        role="subscriber",
        topics=["A"],
        address=address,
        clock="realtime",
    )


def names() -> object:
    """The message of a publisher with a name for an address that only it reaches."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", f"{HERE}/128", "dev", "lo", "nodad")
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("pubsub_publisher").addHandler(handler)
    with (
        running_broker(
            Broker(indefinite=True, bind=HERE, port=0, allow_foreign_addresses=True)
        ) as broker,
        Publisher(HERE, ["A"], broker_port=broker.port, address="localhost"),
    ):
        return said


def without() -> object:
    """The messages of roles on a kernel without IPv6."""
    run("ip", "link", "set", "lo", "up")
    run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    said = []
    for role in (
        Broker(bind="::1", port=0),
        Publisher("[::1]", ["A"], connect_timeout_s=0),
        Subscriber(broker_address="[::1]", topics=["A"], connect_timeout_s=0),
        Publisher("[2001:db8::1]", ["A"], connect_timeout_s=0),
    ):
        try:
            role.configure()
        except PubSubError as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


if __name__ == "__main__":
    what = {"limits": limits, "names": names, "without": without}[sys.argv[1]]
    print(json.dumps(what()))

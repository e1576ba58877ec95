"""Worker: many real clients in one process, which count the events that they receive.

    python -m broker_failover.clients OPTIONS-AS-JSON

It prints one line when all clients are connected, and then one for each tenth of a second, an
object: when (``at_s`` of the monotonic clock), and the events ``received`` since the line before.
It ends when its standard input does, with a line of the events that were ``lost``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading
import time
from typing import Any, Final

from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

SAMPLE_S: Final = 0.1
_CONNECT_S: Final = 120.0


class Clients:
    """Publishers of a topic each, and subscribers of a topic each."""

    def __init__(self, options: dict[str, Any]) -> None:
        """``publishes`` and ``subscribes``: the topics, of a client each; ``broker``: where
        they register; ``rate``: events a second of each publisher; ``recover``."""
        broker, recover = options["broker"], options["recover"]
        self._period_s = 1 / options["rate"]
        self.stopped = threading.Event()
        self.publishers = [
            Publisher(
                broker,
                [topic],
                bind_port=0,
                connect_timeout_s=_CONNECT_S,
                history=1000 if recover else 0,
            )
            for topic in options["publishes"]
        ]
        self.subscribers = [
            Subscriber(
                None,
                broker,
                [topic],
                indefinite=True,
                connect_timeout_s=_CONNECT_S,
                attach_timeout_s=0.0,
                recover=recover,
            )
            for topic in options["subscribes"]
        ]
        # One place for each thread, so that none is written by two.
        self._received = [0] * len(self.subscribers)

    def connect(self) -> None:
        """Register all, and begin to publish and to receive."""
        for publisher in self.publishers:
            publisher.configure()
        for subscriber in self.subscribers:
            subscriber.configure()
        threads = [threading.Thread(target=self._publish)]
        threads += [
            threading.Thread(target=self._receive, args=(number,))
            for number in range(len(self.subscribers))
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()

    def received(self) -> int:
        """The events of all subscribers."""
        return sum(self._received)

    def lost(self) -> int:
        """The events of which they know that they are lost."""
        return sum(subscriber.counts().lost for subscriber in self.subscribers)

    def _publish(self) -> None:
        if not self.publishers:
            return
        due = time.monotonic()
        while not self.stopped.is_set():
            for publisher in self.publishers:
                publisher.publish_event(publisher.topics[0], b"x" * 64)
                due += self._period_s / len(self.publishers)
                time.sleep(max(0.0, due - time.monotonic()))

    def _receive(self, number: int) -> None:
        for _ in self.subscribers[number]:
            self._received[number] += 1


def main(options: dict[str, Any]) -> int:
    """Connect, and count until nobody listens."""
    clients = Clients(options)
    clients.connect()
    print(json.dumps({"clients": len(clients.publishers) + len(clients.subscribers)}))
    sys.stdout.flush()
    before, due = 0, time.monotonic()
    with contextlib.suppress(BrokenPipeError):
        while True:
            due += SAMPLE_S
            if select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
                break
            received = clients.received()
            line = {"at_s": time.monotonic(), "received": received - before}
            before = received
            print(json.dumps(line), flush=True)
        # Once, as it takes a thread for each client.
        print(json.dumps({"lost": clients.lost()}), flush=True)
    # Its clients are killed with it: nobody measures how they leave.
    clients.stopped.set()
    return 0


if __name__ == "__main__":
    # Without waiting for the threads, which never end.
    os._exit(main(json.loads(sys.argv[1])))

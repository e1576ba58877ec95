"""Honest clients in their own process, which measure their service during attacks:
``python -m support.honest_client publisher|subscriber|heart OPTIONS-AS-JSON``.

When it serves, it prints one line, an object with its ``clients``. For each line on its
standard input it prints its measurements since the last reset, as an object, and resets
them unless the line says ``keep``. When its standard input ends, it ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import zmq

from pubsub_common.protocol import messages
from pubsub_common.protocol.versions import VERSIONS
from pubsub_common.security.keys import configure_curve_client, load_client_keys
from pubsub_publisher import Publisher
from pubsub_subscriber import Subscriber

# Between two heartbeats: the resolution of a measured gap.
_BEAT_S: Final = 0.02
# How long a heartbeat waits for its reply before it counts as never answered.
NEVER_S: Final = 60.0
KEEP: Final = "keep\n"


class Publishers:
    """Publishes at a rate, through one publisher for each topic, in turns."""

    def __init__(
        self, topics: list[str], *, rate: float, payload: int, **options: Any
    ) -> None:
        self._turns = [
            (topic, Publisher(topics=[topic], bind_port=0, **options))
            for topic in topics
        ]
        self._period = 1 / rate
        self._payload = b"x" * payload
        self._longest_s = 0.0
        self._published = 0
        self._stopped = threading.Event()
        for _, publisher in self._turns:
            publisher.configure()

    @property
    def clients(self) -> list[dict[str, Any]]:
        return [
            {"topic": topic, "port": each.bind_port, "session": each.session}
            for topic, each in self._turns
        ]

    def run(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            for topic, publisher in self._turns:
                begun = time.monotonic()
                publisher.publish_event(topic, self._payload)
                ended = time.monotonic()
                self._longest_s = max(self._longest_s, ended - begun)
                self._published += 1
                due = max(due + self._period, ended - 0.05)
                time.sleep(max(0.0, due - time.monotonic()))

    def figures(self) -> dict[str, Any]:
        return {"published": self._published, "longest_call_s": self._longest_s}

    def forget(self) -> None:
        self._longest_s = 0.0

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        for _, publisher in self._turns:
            publisher.disconnect()


class Subscribers:
    """Receives through one subscriber for each topic, each in a thread of its own."""

    def __init__(self, topics: list[str], **options: Any) -> None:
        self._subscribers = [
            Subscriber(topics=[topic], indefinite=True, **options) for topic in topics
        ]
        self._latencies: list[int] = []
        for subscriber in self._subscribers:
            subscriber.configure()
        self._threads = [
            threading.Thread(target=self._receive, args=(each,), daemon=True)
            for each in self._subscribers
        ]

    @property
    def clients(self) -> list[dict[str, Any]]:
        return [{"session": each.session} for each in self._subscribers]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _receive(self, subscriber: Subscriber) -> None:
        for event in subscriber:
            self._latencies.append(event.received_ns - event.published_ns)

    def figures(self) -> dict[str, Any]:
        latencies = sorted(self._latencies)
        counts = [each.counts() for each in self._subscribers]
        of = len(latencies)
        return {
            "received": sum(each.received for each in counts),
            "lost": sum(each.lost for each in counts),
            "malformed": sum(each.malformed_count for each in self._subscribers),
            "latencies": of,
            "p50_s": latencies[of // 2] / 1e9 if of else 0.0,
            "p99_s": latencies[of * 99 // 100] / 1e9 if of else 0.0,
            "max_s": latencies[-1] / 1e9 if of else 0.0,
        }

    def forget(self) -> None:
        self._latencies = []

    def stop(self) -> None:
        for subscriber in self._subscribers:
            subscriber.stop()

    def close(self) -> None:
        for subscriber in self._subscribers:
            subscriber.disconnect()


class Heart:
    """Sends heartbeats to the control port by hand, as a registered subscriber, without
    a pause, and measures the longest time of a reply."""

    def __init__(
        self, topics: list[str], *, broker_port: int, keys: str | None = None
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.rcvtimeo = round(NEVER_S * 1000)
        if keys is not None:
            loaded = load_client_keys(keys)
            configure_curve_client(self._socket, loaded.pair, loaded.broker)
        self._socket.connect(f"tcp://127.0.0.1:{broker_port}")
        self._topics = topics
        self._number = 0
        self._waiting_since: float | None = None
        self._longest_s = 0.0
        self._answered = 0
        self._registered_again = -1
        self._stopped = threading.Event()
        self._register()

    @property
    def clients(self) -> list[dict[str, Any]]:
        return [{"session": self._session}]

    def _register(self) -> None:
        self._registered_again += 1
        reply = self._ask(
            lambda number: messages.Register(
                id=number,
                versions=VERSIONS,
                role="subscriber",
                topics=self._topics,
                address="127.0.0.1",
                clock="realtime",
            )
        )
        assert isinstance(reply, messages.Registered), reply
        self._session = reply.session

    def _ask(self, request: Callable[[int], messages.Request]) -> messages.Reply:
        self._number += 1
        self._socket.send(messages.encode(request(self._number)))
        while True:
            reply = messages.decode_reply(self._socket.recv())
            if getattr(reply, "id", None) == self._number:
                return reply

    def run(self) -> None:
        while not self._stopped.is_set():
            self._waiting_since = begun = time.monotonic()
            reply = self._ask(
                lambda number: messages.Heartbeat(id=number, session=self._session)
            )
            waited = time.monotonic() - begun
            self._waiting_since = None
            self._longest_s = max(self._longest_s, waited)
            self._answered += 1
            if not (isinstance(reply, messages.Alive) and reply.known):
                self._register()
            self._stopped.wait(_BEAT_S)

    def figures(self) -> dict[str, Any]:
        since = self._waiting_since
        longest = self._longest_s
        if since is not None:
            longest = max(longest, time.monotonic() - since)
        return {
            "longest_wait_s": longest,
            "answered": self._answered,
            "registered_again": self._registered_again,
        }

    def forget(self) -> None:
        self._longest_s = 0.0

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()


KINDS: Final = {"publisher": Publishers, "subscriber": Subscribers, "heart": Heart}


def main(kind: str, options: str) -> None:
    client = KINDS[kind](**json.loads(options))
    print(json.dumps({"clients": client.clients}), flush=True)
    thread = threading.Thread(target=client.run, daemon=True)
    thread.start()
    for line in sys.stdin:
        print(json.dumps(client.figures()), flush=True)
        if line != KEEP:
            client.forget()
    client.stop()
    thread.join(10)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

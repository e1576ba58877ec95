"""Worker: a subscriber that logs its events (see chaos_logs).

python chaos_subscriber.py '{"log": ..., ...}'
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

import chaos_clock  # noqa: F401 - it must be the first
from chaos_logs import LogWriter, now_ns

from pubsub_common.cli import console_script
from pubsub_common.errors import NotReady, PubSubError
from pubsub_common.protocol.events import Event
from pubsub_common.protocol.messages import PublisherInfo
from pubsub_common.protocol.sequence import Gap
from pubsub_subscriber import Subscriber

_READY_S: Final = 20.0


def main(options: dict[str, Any]) -> int:
    """Receive until stopped."""
    log = LogWriter(Path(options["log"]))
    more = options.get("more", {})

    def on_gap(gap: Gap) -> None:
        log.write("G", gap.session, gap.topic, gap.first, gap.last)

    def on_publisher(publisher: PublisherInfo, joined: bool) -> None:
        log.write("T", now_ns(), publisher.session, int(joined))

    subscriber = Subscriber(
        None,
        options["broker"],
        options["topics"],
        indefinite=True,
        centralized=options["centralized"],
        broker_port=options["broker_port"],
        address=options["address"],
        connect_timeout_s=60.0,
        on_gap=on_gap,
        on_publisher=on_publisher,
        **more,
    )
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        subscriber.stop()

    try:
        with console_script.stop_on_signals(stop):
            # From here on a signal ends it normally.
            log.write("S", now_ns(), int(more.get("start") == "history"))
            with subscriber:
                receive(subscriber, log)
    except NotReady as error:
        if not stopped:
            return console_script.print_error("chaos_subscriber", error, 1)
    except PubSubError as error:
        return console_script.print_error("chaos_subscriber", error, 1)
    return 0


def receive(subscriber: Subscriber, log: LogWriter) -> None:
    """Receive until stopped, and log everything."""
    log.write("I", subscriber.session)
    try:
        subscriber.wait_until_ready(_READY_S)
        log.write("R", now_ns())
    except NotReady as error:
        print(f"chaos_subscriber: not ready: {error}", file=sys.stderr)
    topics = len(subscriber.topics)
    for event in subscriber:
        name, counter = who_and_number(event, topics)
        log.write("E", event.session, event.topic, event.sequence, name, counter)
    log.write("X", now_ns())
    counts = dataclasses.asdict(subscriber.counts())
    log.write("C", json.dumps(counts | {"malformed": subscriber.malformed_count}))


def who_and_number(event: Event, topics: int) -> tuple[str, int]:
    """The publisher and the number of an event, from its payload."""
    words = event.payload.split(b" ", 4)
    if words[0] == b"event":  # made by `Publisher.publish`: topics in turn
        return words[3].decode(), int(words[1]) // topics
    return words[0].decode(), int(words[1])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

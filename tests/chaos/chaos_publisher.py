"""Worker: a publisher that logs its events (see chaos_logs).

python chaos_publisher.py '{"log": ..., "name": ..., ...}'
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import chaos_clock  # noqa: F401 - it must be the first
from chaos_logs import LogWriter, now_ns

from pubsub_common.cli import console_script
from pubsub_common.errors import NotReady, PubSubError
from pubsub_publisher import Publisher

# The part of the log that a kill may lose.
_LOG_EVERY_NS: Final = 20_000_000
_READY_S: Final = 60.0


class RangeLog:
    """Writes ranges of published events, at least every `_LOG_EVERY_NS`."""

    def __init__(self, log: LogWriter, session: int) -> None:
        self._log = log
        self._session = session
        self._open: dict[str, tuple[int, int, int]] = {}
        self._written_ns = now_ns()

    def add(self, topic: str, number: int, count: int, at_ns: int) -> None:
        """Add events from ``number`` on; ``at_ns`` is a time before they were sent."""
        at_ns, first, _ = self._open.get(topic, (at_ns, number, 0))
        self._open[topic] = (at_ns, first, number + count - 1)
        if now_ns() - self._written_ns > _LOG_EVERY_NS:
            self.write()

    def write(self) -> None:
        for topic, (at_ns, first, last) in self._open.items():
            self._log.write("P", at_ns, self._session, topic, first, last)
        self._open.clear()
        self._written_ns = now_ns()


def main(options: dict[str, Any]) -> int:
    """``rate`` is in events per second; ``batch`` events are sent together. With
    ``generated``, `Publisher.publish` makes them."""
    log = LogWriter(Path(options["log"]))
    name, topics = options["name"], options["topics"]
    rate, wait_for = options["rate"], options.get("wait_for", 0)
    generated = options.get("generated", False)
    range_log: RangeLog | None = None

    def on_sent(topic: str, sequence: int, _due_ns: int, _sent_ns: int) -> None:
        assert range_log is not None
        range_log.add(topic, sequence, 1, now_ns() - _LOG_EVERY_NS)

    publisher = Publisher(
        options["broker"],
        topics,
        indefinite=True,
        sleep_period=1 / rate,
        broker_port=options["broker_port"],
        bind_port=options["bind_port"],
        address=options["address"],
        connect_timeout_s=_READY_S,
        on_sent=on_sent if generated else None,
        **options.get("more", {}),
    )
    try:
        with console_script.stop_on_signals(publisher.stop), publisher:
            publisher.wait_for_subscribers(wait_for, _READY_S)
            log.write("S", publisher.session, name, int(wait_for > 0))
            range_log = RangeLog(log, publisher.session)
            if generated:
                publisher.publish()
            else:
                publish(publisher, name, topics, range_log, options)
            range_log.write()
            log.write("D", now_ns())
    except NotReady as error:
        if not publisher.stopped:
            return console_script.print_error("chaos_publisher", error, 1)
    except PubSubError as error:
        return console_script.print_error("chaos_publisher", error, 1)
    return 0


def publish(
    publisher: Publisher,
    name: str,
    topics: list[str],
    range_log: RangeLog,
    options: dict[str, Any],
) -> None:
    """Publish until stopped, ``batch`` events of a topic together, the topics in turn."""
    batch = options.get("batch", 1)
    period_s = batch / options["rate"]
    fill = b"." * options.get("payload_bytes", 0)
    numbers = dict.fromkeys(topics, 0)
    due = time.monotonic()
    turn = 0
    while not publisher.stopped:
        topic = topics[turn % len(topics)]
        turn += 1
        number = numbers[topic]
        payloads = [
            f"{name} {number + index} ".encode() + fill for index in range(batch)
        ]
        at_ns = now_ns()
        try:
            if batch == 1:
                publisher.publish_event(topic, payloads[0])
            else:
                publisher.publish_events(payloads, topic)
        except PubSubError:
            if publisher.stopped:
                return
            raise
        numbers[topic] = number + batch
        range_log.add(topic, number, batch, at_ns)
        # After a delay (it was suspended): continue from now, without catching up, as
        # that would turn a steady stream into a flood.
        due = max(due + period_s, time.monotonic() - period_s)
        while (left_s := due - time.monotonic()) > 0 and not publisher.stopped:
            time.sleep(min(left_s, 0.05))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

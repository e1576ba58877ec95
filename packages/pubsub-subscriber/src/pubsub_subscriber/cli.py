"""The console script ``pubsub-subscriber``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script, option_texts, role_config
from pubsub_common.cli.standard_streams import OutputFailed
from pubsub_common.text.counted import counted
from pubsub_subscriber.measurement_files import SubscriberFiles
from pubsub_subscriber.output import options as output_options

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.config import SubscriberConfig
    from pubsub_subscriber.subscriber import Subscriber

PROGRAM = "pubsub-subscriber"

# Options with another name than their argument.
_RENAMED: Final = {"topics": "--topic", "max_event_count": "--count"}
_FILE_EVENTS: Final = defaults.MAX_EVENT_COUNT

USAGE = f"""Subscribe to topics, and print each event.

Examples:
  {PROGRAM} weather
  {PROGRAM} 'sensors/#' --json -b 10.0.0.1
  {PROGRAM} weather news --raw --count 10 > events

Usage:
  {PROGRAM} [TOPIC]... [options]

Each event is a line: topic, publisher, latency, payload. The program continues until
it is stopped, or until a limit: --count or --timeout. At the end it prints a summary on
standard error. A terminal shows control characters as text, like \\x1b, except with
--raw; pipes and files get every byte.

What:
{option_texts.TOPIC_OPTION}
  --exclude TOPIC                 leave out events of TOPIC, which may have wildcards;
                                  repeat for more
  --sample PERCENT                handle only PERCENT of the events, chosen at random
  --start WHEN                    "now", or "history": also the events that publishers
                                  still keep (implies --recover) [default: now]
  --recover                       ask publishers with a history for missing events,
                                  and deliver all events in order

Where:
{option_texts.WHERE_OPTIONS}

How long:
{option_texts.COUNT_OPTION}; without it, with -f, after {_FILE_EVENTS}
{option_texts.INDEFINITE_OPTION}, also with a config file;
                                  not with -m
  --timeout SECONDS               stop when no event has arrived for SECONDS; exit code
                                  1 if none has arrived at all, or no broker answered
{option_texts.WAIT_OPTIONS}

Output:
  --format TEXT                   print TEXT for each event, with {{topic}} {{time}}
                                  {{payload}} {{payload_hex}} {{payload_base64}}
                                  {{payload_json}} {{publisher}} {{sequence}}
                                  {{published_ns}} {{received_ns}} {{latency_us}}
                                  {{size}} in it, and \\n \\t \\0 \\\\
  --json                          print each event as a JSON object; a payload that is
                                  not UTF-8 as "payload_base64"
  --nest                          with --json: payloads that are JSON as values, not as
                                  strings
  --raw                           print payloads without any change
  -0, --null                      end each event with a zero byte, not a new line
  --exec COMMAND                  run COMMAND in a shell for each event, with the
                                  payload on its standard input, and PUBSUB_TOPIC,
                                  PUBSUB_PUBLISHER, PUBSUB_SEQUENCE and
                                  PUBSUB_PUBLISHED_NS in its environment
  --jobs N                        with --exec: run N commands at once; one at a time
                                  keeps the order [default: 1]
  --dump DIR                      write each payload to a file in DIR, and the rest to
                                  DIR/events.jsonl
  --flush                         write each event to a pipe or file at once, also
                                  when more events wait
  -q, --quiet                     print no summary, and no reason for the end
  -f FILE, --filename FILE        print nothing, and write latencies to FILE as CSV
                                  when all events have arrived; not with -i
{option_texts.MEASUREMENT_OPTIONS}
{option_texts.LOG_OPTION}
{option_texts.VERBOSE_OPTION}

Rare:
  -c, --centralized               receive events through the broker; by default as the
                                  broker says
{option_texts.QUEUE_OPTION}
{option_texts.BYTES_OPTIONS}
  --recover-bytes BYTES           with --recover or --start history: bytes kept of
                                  events that wait for earlier events, with 256 added
                                  for each event [default: {defaults.RECOVER_BYTES}]
{option_texts.SHARED_MEMORY_OPTION}
{option_texts.RARE_CLIENT_OPTIONS}
{option_texts.COMMON_END}
"""


def config_of(
    options: console_script.Options,
    *,
    on_event: Callable[[Event], None] | None = None,
) -> SubscriberConfig:
    """The configuration of a subscriber from its options.

    Raises:
        ConfigError: An option is not valid, or two contradict each other.
    """
    from pubsub_subscriber.config import SubscriberConfig

    limit = None
    if not output_options.filters(options):  # else the handled events are counted
        limit = output_options.event_limit(options)
    arguments = role_config.client_arguments(options)
    if options["--timeout"] is not None:
        # The time to the first event, including the connection.
        timeout_s = console_script.seconds(options, "--timeout")
        for name in ("connect_timeout_s", "attach_timeout_s"):
            arguments[name] = min(arguments[name], timeout_s)
    told_the_model = console_script.source_of(options, "--centralized")
    config = SubscriberConfig(
        **arguments,
        filename=options["--filename"],
        safe_csv=options["--safe-csv"],
        shared_memory=options["--shared-memory"],
        indefinite=limit is None,
        max_event_count=None if limit is None else limit.events,
        centralized=options["--centralized"] if told_the_model else None,
        queue_limit=console_script.whole_number(options, "--queue-limit"),
        **role_config.queue_arguments(options),
        on_event=on_event,
        recover=options["--recover"],
        recover_bytes=console_script.whole_number(options, "--recover-bytes"),
        start=options["--start"],
    )
    return role_config.validated(config, USAGE, _RENAMED)


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_subscriber import __version__

    options = console_script.parse(USAGE, argv, PROGRAM, __version__)

    def work() -> None:
        from pubsub_subscriber.subscriber import Subscriber

        console_script.set_up_logging(
            PROGRAM, verbose=options["--verbose"], log_format=options["--log-format"]
        )
        files = SubscriberFiles(
            options["--details"], options["--report"], safe_csv=options["--safe-csv"]
        )
        listen = files.listener(None)
        say = _say_nothing if options["--quiet"] else _say
        handle = output_options.event_handling(options, listen, say)
        limit = output_options.event_limit(options)
        subscriber = Subscriber.from_config(config_of(options, on_event=listen))
        with console_script.stop_on_signals(subscriber.stop):
            try:
                run(subscriber, handle=handle, limit=limit, say=say)
            finally:
                files.write(subscriber)

    return console_script.run(PROGRAM, work)


def _say(text: str) -> None:
    console_script.print_message(PROGRAM, text)


def _say_nothing(text: str) -> None:
    pass


def run(
    subscriber: Subscriber,
    *,
    handle: output_options.EventHandling | None = None,
    limit: output_options.EventLimit | None = None,
    say: Callable[[str], None] = _say,
) -> None:
    """Receive events with ``handle`` or `notify`. At the end, ``say`` prints the reason for
    the end and a summary."""
    from pubsub_common.errors import NotReady
    from pubsub_subscriber.output.topic_hint import topic_hint

    with contextlib.ExitStack() as stack:
        registered = False
        with contextlib.suppress(NotReady):
            stack.enter_context(subscriber)
            registered = True
        try:
            if not registered:
                # Stopped by a signal before the connection to a broker: nothing to receive,
                # but the file is written.
                subscriber.write_stored_messages()
            elif handle is not None:
                handle(subscriber)
            else:
                subscriber.notify()
            if registered and (hint := topic_hint(subscriber)):
                say(hint)
        except OutputFailed:
            say = _say_nothing  # the error line is enough
            raise
        finally:
            handled = None if handle is None else handle.handled
            count = subscriber.event_count if handled is None else handled
            if limit is not None and (ended := limit.ended(count)):
                say(ended)
            say(summary(subscriber, handled))


def summary(subscriber: Subscriber, handled: int | None = None) -> str:
    """One line: the numbers of received and missing events, and the latency. ``handled`` is
    the number of events that were not left out; None: all."""
    from pubsub_common.measurement.latency_histogram import format_ns

    counts = subscriber.counts()
    parts = [f"{counted(subscriber.event_count, 'event')} received"]
    if handled is not None:
        parts.append(f"{handled} of them chosen")
    for count, what in (
        (counts.recovered, f"{counts.recovered} of them recovered"),
        (counts.lost, f"{counts.lost} lost"),
        (counts.duplicated, f"{counted(counts.duplicated, 'duplicate')} dropped"),
        (counts.reordered, f"{counts.reordered} out of order"),
        (subscriber.malformed_count, f"{subscriber.malformed_count} malformed"),
    ):
        if count or what == "0 lost":
            parts.append(what)
    points = subscriber.latencies.summary_ns()
    if subscriber.latencies.count == 1:  # one event has no percentiles
        latency = format_ns(points["min"])
    else:
        latency = ", ".join(f"{name} {format_ns(ns)}" for name, ns in points.items())
    error_ns = subscriber.latency_error_ns()
    if latency and error_ns is None:
        latency += "; how far clocks are apart is not known"
    elif latency and error_ns != (0, 0):
        low, high = (f"{'+' if ns > 0 else ''}{format_ns(ns)}" for ns in error_ns or ())
        latency += f"; true latency: {low} to {high}, as clocks may be apart"
    return ", ".join(parts) + (f"; latency {latency}" if latency else "")

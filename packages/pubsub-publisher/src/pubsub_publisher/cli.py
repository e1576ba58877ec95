"""The console script ``pubsub-publisher``."""

from __future__ import annotations

import contextlib
import select
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from pubsub_common import defaults
from pubsub_common.cli import console_script, option_texts, role_config
from pubsub_common.text.counted import counted
from pubsub_publisher.input import options as input_options
from pubsub_publisher.measurement_files import PublisherFiles

if TYPE_CHECKING:
    from pubsub_publisher.config import OnSent, PublisherConfig
    from pubsub_publisher.publisher import Publisher

PROGRAM = "pubsub-publisher"
# Number of topics that a message names; it counts the others.
_MOST_NAMES: Final = 5

# Options with another name than their argument.
_RENAMED: Final = {
    "topics": "--topic",
    "max_event_count": "--count",
    "sleep_period": "--sleep",
    "payload_bytes": "--payload-size",
    "strengths": "--strength",
}
_GENERATED: Final = defaults.MAX_EVENT_COUNT
_BLOCKING: Final = defaults.BLOCKING_QUEUE_LIMIT
USAGE = f"""Publish events: texts, lines, files, or generated events.

Examples:
  {PROGRAM} weather sunny
  tail -f log | {PROGRAM} logs --stdin -b 10.0.0.1
  {PROGRAM} ticks --rate 100 --count 1000 --wait-for 1

Usage:
  {PROGRAM} [TOPIC [PAYLOAD]...] [options]

Each PAYLOAD becomes an event on TOPIC. Without payloads, --file and --stdin the program
generates events: {_GENERATED}, one a second. Subscribers that exist at the start get every
event (see --attach-timeout). Later subscribers miss the events before (see --wait-for
and --history).

What:
{option_texts.TOPIC_OPTION}.
                                  Payloads, lines and files go to each topic, generated
                                  events to the topics in turn
  -l TEXT, --literal TEXT         publish TEXT, as a PAYLOAD; repeat for more
  --template TEXT                 publish TEXT with {{count}}, {{time}} and {{random}} (0 to
                                  1) filled in for each event
  --stdin                         publish each line of standard input when it arrives
  -0, --null                      with --stdin: a zero byte ends a line
  --file FILE                     publish the content of FILE as one event; repeat for
                                  more
  --payload-size BYTES            size of a generated payload
                                  [default: {defaults.PAYLOAD_BYTES}]

Where:
{option_texts.WHERE_OPTIONS}
  --bind-port PORT                port to publish from; the publisher skips a port in
                                  use; 0: any free port
                                  [default: {defaults.PUBLISHER_PORT}]
  --bind ADDRESS                  IP address or name of this host to publish from;
                                  0.0.0.0: all of IPv4; ::: all of IPv4 and IPv6; by
                                  default that of --address, which may be HOST:PORT

How long:
{option_texts.COUNT_OPTION}; fewer payloads start again
                                  from the first; generated events stop after {_GENERATED} by
                                  default
{option_texts.INDEFINITE_OPTION}; payloads start again
                                  from the first; not with -m
  --rate RATE                     publish at most RATE events a second
  -s SECONDS, --sleep SECONDS     time between generated events; if given, also between
                                  payloads, lines or files; 0: no pause
                                  [default: {defaults.SLEEP_PERIOD_S:g}]
  --wait-for N                    publish when N subscribers are ready
{option_texts.WAIT_OPTIONS}

Output:
{option_texts.MEASUREMENT_OPTIONS}
{option_texts.LOG_OPTION}
{option_texts.VERBOSE_OPTION}

Rare:
  --overflow POLICY               when the queue of a subscriber is full: drop its
                                  events, or block until there is room. By default
                                  drop for generated events, else block
  --queue-limit N                 messages kept for a slow connection; by default
                                  {defaults.QUEUE_LIMIT}, with --overflow block {_BLOCKING}
{option_texts.BYTES_OPTIONS}
  --history N                     keep the last N events of each topic for subscribers
                                  that missed them [default: 0]
  --history-bytes BYTES           with --history: largest history of a topic
                                  [default: {defaults.HISTORY_BYTES}]
  --history-total BYTES           with --history: largest history of all topics
                                  together, with 256 bytes added for each event
                                  [default: {defaults.HISTORY_TOTAL_BYTES}]
  --strength N                    of several publishers of a topic, subscribers get
                                  the events of the strongest only
  --arrivals KIND                 periodic, or poisson: random times between generated
                                  events, with --sleep as their mean
                                  [default: periodic]
  --arrivals-seed N               with --arrivals poisson: the same random times in
                                  each run
  --hold                          when ready, print "ready" and wait for a line on
                                  standard input: the time of the first generated
                                  event in ns of the clock; an empty line: now
{option_texts.SHARED_MEMORY_OPTION}
{option_texts.RARE_CLIENT_OPTIONS}
{option_texts.COMMON_END}
"""


def config_of(
    options: console_script.Options, *, on_sent: OnSent | None = None
) -> PublisherConfig:
    """The configuration of a publisher from its options.

    Raises:
        ConfigError: An option is not valid, or two contradict each other.
    """
    from pubsub_publisher.config import PublisherConfig

    overflow = options["--overflow"]
    if overflow is None:
        # Piped input can wait, and should arrive.
        overflow = "block" if input_options.source(options) else "drop"
    arguments = role_config.client_arguments(options, listens=True)
    if not console_script.source_of(options, "--attach-timeout") and (
        options["--wait-for"] or options["--hold"]
    ):
        # These options have their own rule for the wait.
        arguments["attach_timeout_s"] = 0.0
    config = PublisherConfig(
        **arguments,
        indefinite=options["--indefinite"]
        and console_script.source_of(options, "--indefinite")
        >= console_script.source_of(options, "--count"),
        max_event_count=input_options.count(options) or defaults.MAX_EVENT_COUNT,
        sleep_period=input_options.period_s(options),
        bind=role_config.listen_host(options, "--bind"),
        bind_port=console_script.port_number(options, "--bind-port", minimum=0),
        overflow=overflow,
        shared_memory=options["--shared-memory"],
        queue_limit=None
        if options["--queue-limit"] is None
        else console_script.whole_number(options, "--queue-limit"),
        **role_config.queue_arguments(options),
        payload_bytes=console_script.whole_number(options, "--payload-size", minimum=0),
        arrivals=options["--arrivals"],
        arrivals_seed=None
        if options["--arrivals-seed"] is None
        else console_script.whole_number(options, "--arrivals-seed", minimum=0),
        on_sent=on_sent,
        declared_only=True,
        history=console_script.whole_number(options, "--history", minimum=0),
        history_bytes=console_script.whole_number(options, "--history-bytes"),
        history_total=console_script.whole_number(options, "--history-total"),
        strengths=console_script.whole_number(options, "--strength", minimum=0)
        if options["--strength"] is not None
        else None,
    )
    return role_config.validated(config, USAGE, _RENAMED)


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_publisher import __version__

    options = console_script.parse(USAGE, argv, PROGRAM, __version__)

    def work() -> None:
        from pubsub_publisher.publisher import Publisher

        console_script.set_up_logging(
            PROGRAM, verbose=options["--verbose"], log_format=options["--log-format"]
        )
        wait_for = (
            console_script.whole_number(options, "--wait-for")
            if options["--wait-for"]
            else 0
        )
        publish = input_options.source_publisher(options)
        files = PublisherFiles(
            options["--details"], options["--report"], safe_csv=options["--safe-csv"]
        )
        config = config_of(options, on_sent=files.listener())
        publisher = Publisher.from_config(config)
        with console_script.stop_on_signals(publisher.stop):
            try:
                count = run(
                    publisher,
                    wait_for=wait_for,
                    hold=options["--hold"],
                    publish=publish,
                )
            finally:
                files.write(publisher)
        if count and (nobody := _nobody_subscribed(publisher)):
            console_script.print_message(PROGRAM, nobody)
        generated_all = publish is None and count == config.max_event_count
        if generated_all and not _limit_asked(options):
            console_script.print_message(
                PROGRAM,
                f"ended after {counted(count, 'event')} "
                "(--count, by default; -i continues until stopped)",
            )

    return console_script.run(PROGRAM, work)


def _nobody_subscribed(publisher: Publisher) -> str | None:
    """The message about topics without subscribers; None: each topic has one."""
    topics = publisher.unsubscribed_topics
    if not topics:
        return None
    names = ", ".join(topics[:_MOST_NAMES])
    more = len(topics) - _MOST_NAMES
    more_text = f" and {more} more" if more > 0 else ""
    similar = _similar_topics(publisher, topics)
    return (
        f"nobody subscribed to {names}{more_text}{similar}; events without a subscriber are "
        "dropped (--wait-for N waits for N subscribers)"
    )


def _similar_topics(publisher: Publisher, topics: Sequence[str]) -> str:
    from pubsub_common.client.topic_hints import did_you_mean, topics_at

    config = publisher.config
    if config.keys is not None:
        return ""
    wanted = topics_at(config.brokers(), publisher.broker_address, "subscriber")
    question = did_you_mean(topics, wanted or ())
    return f" ({question})" if question else ""


def _limit_asked(options: console_script.Options) -> bool:
    names = ("--count", "--indefinite")
    return any(console_script.source_of(options, name) for name in names)


def run(
    publisher: Publisher,
    *,
    wait_for: int = 0,
    hold: bool = False,
    publish: Callable[[Publisher], int] | None = None,
) -> int:
    """Connect, publish generated events or call ``publish``, and disconnect. Returns the number
    of events.

    `Publisher.stop` ends each of these steps.
    """
    from pubsub_common.errors import NotReady

    # The waits have no time limit: only a signal ends them with this error.
    ended_by_signal = contextlib.suppress(NotReady)
    with ended_by_signal, publisher:
        publisher.wait_for_subscribers(wait_for)
        if publish is not None:
            return publish(publisher)
        return publisher.publish(start_ns=_held_start_ns(publisher) if hold else None)
    return 0


def _held_start_ns(publisher: Publisher) -> int | None:
    """Print "ready", and return the start time that standard input then names.

    Raises:
        ConfigError: The line is not a number, or standard input is closed.
    """
    from pubsub_common.errors import ConfigError
    from pubsub_common.text.ascii_numbers import whole_number

    stdin: TextIO | None = sys.stdin
    if stdin is None:
        raise ConfigError("--hold: standard input is closed")
    print("ready", flush=True)
    # In short waits: a signal does not end a read.
    while not select.select([stdin], [], [], 0.2)[0]:
        if publisher.stopped:
            return None
    line = stdin.readline().strip()
    if not line:
        return None
    try:
        return whole_number(line)
    except ValueError:
        raise ConfigError(f"--hold: {line!r} is not a time in nanoseconds") from None

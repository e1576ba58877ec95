"""The console script ``pubsub-broker``. Shell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pubsub_common import cli, defaults

if TYPE_CHECKING:
    from pubsub_broker.broker import Broker

PROGRAM = "pubsub-broker"

USAGE = f"""Run a broker.

Usage:
  {PROGRAM} [options]

It runs until it is stopped, or for a limited number of events with -m. Publishers
and subscribers find it at its address and port.

Options:
{cli.CENTRALIZED_OPTION}
  -i, --indefinite                go on until stopped (as it does without -m)
  -m N, --max-event-count N       stop after N events: forwarded ones with -c, else
                                  clients that came or went
{cli.ADDRESS_OPTION}
  --port PORT                     control port; 0 takes a free one
                                  [default: {defaults.CONTROL_PORT}]
  --lease SECONDS                 how long a client that is silent stays registered
                                  [default: {defaults.LEASE_S:g}]
  --forwarders N                  threads that forward events, with -c [default: 1]
{cli.QUEUE_OPTION}
{cli.COMMON_OPTIONS}
"""


def build(options: cli.Options) -> Broker:
    """A broker as the options ask.

    Raises:
        ConfigError: they ask for something that cannot be.
    """
    from pubsub_broker.broker import Broker

    limit = options["--max-event-count"]
    return Broker(
        centralized=options["--centralized"],
        indefinite=options["--indefinite"] or limit is None,
        max_event_count=(
            cli.whole_number(options, "--max-event-count")
            if limit is not None
            else defaults.MAX_EVENT_COUNT
        ),
        address=options["--address"],
        port=cli.port_number(options, "--port", minimum=0),
        lease_s=cli.seconds(options, "--lease"),
        forwarders=cli.whole_number(options, "--forwarders"),
        queue_limit=cli.whole_number(options, "--queue-limit"),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_broker import __version__

    options = cli.parse(USAGE, argv, PROGRAM, __version__)

    def work() -> None:
        cli.set_up_logging(PROGRAM, verbose=options["--verbose"], default="INFO")
        broker = build(options)
        with cli.stopped_by_signals(broker.stop), broker:
            broker.event_loop()

    return cli.run(PROGRAM, work)

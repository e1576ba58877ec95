"""``pubsub-broker status``: prints the status of a broker."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_broker.commands.asked_brokers import ASK_OPTIONS, AskedBrokers, parse
from pubsub_common.cli import console_script, option_texts

PROGRAM = "pubsub-broker status"

USAGE = f"""Show the clients of a broker, their topics, rates, losses and latencies.

Examples:
  {PROGRAM}
  {PROGRAM} 10.0.0.1:5555 --watch
  {PROGRAM} --json | jq .clients

Usage:
  {PROGRAM} [BROKER] [options]

BROKER is the same as -b BROKER. Clients that are expected back after a restart, and
clients that lost events, are marked.

Where:
{ASK_OPTIONS}
  --all                           ask all brokers of a group: each broker knows the
                                  losses, rates and latencies of its own clients

Output:
  --json                          print the answer as a JSON object; every key is there
  --watch                         print the status again and again until stopped; a
                                  terminal shows one screen (needs
                                  pubsub-broker[watch]): the keys l, n, r and t sort it,
                                  q quits
  --interval SECONDS              with --watch: the time between two requests
                                  [default: 1]
{option_texts.VERBOSE_OPTION}

Rare:
{option_texts.BROKER_PORT_OPTION}
{option_texts.CONFIG_OPTION}
{option_texts.PRINT_OPTION}
{option_texts.HELP_OPTIONS}

{option_texts.PRECEDENCE_WITH_BROKER}

{option_texts.EXITS}
"""


def main(argv: Sequence[str]) -> int:
    """Parse the words after ``status``, ask, print, and return the exit code."""
    options = parse(USAGE, PROGRAM, argv)

    def work() -> None:
        from pubsub_broker.monitoring.group_status import Answer, ask_group
        from pubsub_broker.monitoring.status_json import status_json
        from pubsub_broker.monitoring.status_text import render

        console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
        brokers = AskedBrokers(options)

        def asking() -> Answer:
            _, status = brokers.ask()
            return (
                ask_group(status, brokers.ask_at)
                if options["--all"]
                else Answer(status)
            )

        if options["--watch"]:
            from pubsub_broker.commands.watch import watch

            interval_s = console_script.seconds(options, "--interval")
            watch(asking, PROGRAM, interval_s, as_json=options["--json"])
            return
        status, asked, troubles = asking()
        for trouble in troubles:
            console_script.print_message(PROGRAM, trouble)
        if options["--json"]:
            console_script.print_json(status_json(status))
        else:
            print(render(status, asked=asked))

    return console_script.run(PROGRAM, work)

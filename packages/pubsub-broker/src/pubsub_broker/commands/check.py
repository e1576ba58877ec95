"""``pubsub-broker check``: whether a broker answers, for service managers."""

from __future__ import annotations

from collections.abc import Sequence

from pubsub_broker.commands.asked_brokers import ASK_OPTIONS, AskedBrokers, parse
from pubsub_common.cli import console_script, option_texts

PROGRAM = "pubsub-broker check"

USAGE = f"""Ask whether a broker answers. The exit code is 0 if it does, else 1.

Examples:
  {PROGRAM}
  {PROGRAM} 10.0.0.1:5555 --timeout 1
  {PROGRAM} --secure keys

Usage:
  {PROGRAM} [BROKER] [options]

BROKER is the same as -b BROKER.

Where:
{ASK_OPTIONS}

Output:
{option_texts.VERBOSE_OPTION}

Rare:
{option_texts.BROKER_PORT_OPTION}
{option_texts.CONFIG_OPTION}
{option_texts.PRINT_OPTION}
{option_texts.HELP_OPTIONS}

{option_texts.PRECEDENCE_WITH_BROKER}

{option_texts.COMMAND_EXITS}
"""


def main(argv: Sequence[str]) -> int:
    """Parse the words after ``check``, ask, print one line, and return the exit code."""
    options = parse(USAGE, PROGRAM, argv)

    def work() -> None:
        console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
        where, status = AskedBrokers(options).ask(whole=False)
        console_script.print_line(
            f"the {status.model} broker at {where} answers, "
            f"up for {status.uptime_s:.0f} s"
        )

    return console_script.run(PROGRAM, work)

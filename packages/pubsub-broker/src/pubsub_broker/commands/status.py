"""``pubsub-broker status``: prints the status of a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script, option_texts
from pubsub_common.cli.settings import Source

if TYPE_CHECKING:
    from pubsub_common.protocol.messages import Status
    from pubsub_common.security.keys import ClientKeys

PROGRAM = "pubsub-broker status"

# Which broker is asked, by `check` too.
ASK_OPTIONS: Final = f"""\
  -b HOST, --broker-address HOST  IP address or name of the broker, or HOST:PORT
                                  [default: {defaults.LOOPBACK}]
  --broker-port PORT              its control port [default: {defaults.CONTROL_PORT}]
  --timeout SECONDS               how long to wait for its answer [default: 5]
{option_texts.KEYS_OPTION}
  --secure DIR                    instead of that: the folder of the broker's own keys"""
USAGE = f"""Show a broker's clients, those expected back, and those that lost events.

Usage:
  {PROGRAM} [options]

Options:
{ASK_OPTIONS}
  --json                          print the answer as it came, JSON
  --watch                         go on each second until stopped; on a terminal on
                                  one screen, which needs pubsub-broker[watch]
{option_texts.VERBOSE_OPTION}
{option_texts.CONFIG_OPTION}
{option_texts.PRINT_OPTION}
{option_texts.HELP_OPTIONS}

{option_texts.PRECEDENCE_WITH_BROKER}

{option_texts.EXITS}
"""


def parse(usage: str, program: str, argv: Sequence[str]) -> console_script.Options:
    """The options of a command that asks a broker; exits as `console_script.parse` does."""
    from pubsub_broker import __version__

    command = program.partition(" ")[2]  # is part of the usage
    return console_script.parse(usage, [command, *argv], program, __version__)


def broker_endpoint(options: console_script.Options) -> tuple[str, int]:
    """Address and port of the broker to ask.

    Raises:
        ConfigError: they are none.
        PubSubError: its name is not known.
    """
    from pubsub_common.net.addresses import resolve
    from pubsub_common.protocol.endpoints import parse_broker_address

    host, _ = parse_broker_address(options["--broker-address"])
    return resolve(host), console_script.port_number(options, "--broker-port")


def keys_of(options: console_script.Options) -> ClientKeys | None:
    """The keys to ask a secure broker with; None: it is not secure.

    Raises:
        ConfigError: there are two, or those that were named cannot be used.
    """
    named = [name for name in ("--keys", "--secure") if options[name]]
    if not named:
        return None
    if all(console_script.source_of(options, name) == Source.FILE for name in named):
        chosen = named[0]  # each is there for another program's sake
    else:
        chosen = console_script.chosen_option(options, *named) or named[0]
    from pubsub_common.security.keys import load_client_keys

    if chosen == "--keys":
        return load_client_keys(options["--keys"])
    from pubsub_broker.security.key_store import KeyStore

    return KeyStore(options["--secure"]).own_keys()


def main(argv: Sequence[str]) -> int:
    """Parse what follows ``status``, ask, print, and return the exit code."""
    options = parse(USAGE, PROGRAM, argv)

    def work() -> None:
        from pubsub_broker.monitoring.status_client import ask
        from pubsub_broker.monitoring.status_text import render
        from pubsub_common.protocol import messages

        console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
        timeout_s, keys = console_script.seconds(options, "--timeout"), keys_of(options)

        def asking() -> Status:
            # A name is looked up each time: the broker may have moved.
            return ask(*broker_endpoint(options), timeout_s, keys)

        if options["--watch"]:
            from pubsub_broker.commands.watch import watch

            watch(asking, PROGRAM, as_json=options["--json"])
            return
        status = asking()
        if options["--json"]:
            console_script.print_json(messages.encode(status).decode())
        else:
            print(render(status))

    return console_script.run(PROGRAM, work)

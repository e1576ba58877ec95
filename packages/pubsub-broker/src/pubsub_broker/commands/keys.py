"""``pubsub-broker keygen``, ``enroll``, ``revoke`` and ``list``."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script, option_texts
from pubsub_common.errors import ConfigError
from pubsub_common.text.ascii_numbers import real_number

if TYPE_CHECKING:
    from pubsub_broker.security.key_store import KeyStore

_FIRST: Final = "client"
_MOST_DAYS: Final = 36_500

_FOLDER: Final = f"""\
  --secure DIR                    the folder of the broker's keys; needed, unless a
                                  config file names it
{option_texts.CONFIG_OPTION}
{option_texts.HELP_OPTIONS}

{option_texts.PRECEDENCE}

{option_texts.COMMAND_EXITS}
"""

_ALONE: Final = f"""\
{option_texts.HELP_OPTIONS}

{option_texts.COMMAND_EXITS}
"""

_USAGES: Final = {
    "keygen": """Make the keys of a secure broker in the folder DIR, and those of its first clients.

Example:
  {program} keys alice bob

Usage:
  {program} DIR [NAME]... [options]

NAME is the name of a client [default: client]. Its keys are in DIR/NAME.keys: move that
file to the host of the client. Then: pubsub-broker --secure DIR, and, for each client,
pubsub-subscriber --keys NAME.keys (or PUBSUB_KEYS=NAME.keys).

Options:
{end}""",
    "enroll": """Enroll one more client of a secure broker, also while it runs.

Example:
  {program} carol --days 30 --secure keys

Usage:
  {program} NAME [options]

The keys of the client are in NAME.keys in the broker's folder: move that file to the
host of the client. With --public the client keeps its own secret key.

Options:
  --days DAYS                     accept the client for DAYS days, by the broker's clock
  --public KEY                    public key of the client, 40 characters
{end}""",
    "revoke": """Revoke a client of a secure broker. A running broker disconnects it.

Example:
  {program} carol --secure keys

Usage:
  {program} NAME [options]

Options:
{end}""",
    "list": """Show the clients of a secure broker.

Example:
  {program} --secure keys

Usage:
  {program} [options]

Options:
{end}""",
}


def usage(command: str) -> str:
    """The usage text of a command."""
    return _USAGES[command].format(
        program=f"pubsub-broker {command}",
        end=_ALONE if command == "keygen" else _FOLDER,
    )


def main(command: str, argv: Sequence[str]) -> int:
    """Parse the words after ``command``, run it, and return the exit code."""
    from pubsub_broker import __version__

    program = f"pubsub-broker {command}"
    # The command is part of the usage.
    words = [command, *argv]
    options = console_script.parse(usage(command), words, program, __version__)
    work = {"keygen": _keygen, "enroll": _enroll, "revoke": _revoke, "list": _list}

    def run() -> None:
        work[command](options)

    return console_script.run(program, run)


def _store(options: console_script.Options) -> KeyStore:
    from pubsub_broker.security.key_store import KeyStore

    if not options["--secure"]:
        raise ConfigError("add --secure DIR, the folder of the broker's keys")
    return KeyStore(options["--secure"])


def _days(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        days = real_number(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= _MOST_DAYS:
        raise ConfigError(
            f"--days: {text!r} is not a number of days more than 0 and at most "
            f"{_MOST_DAYS}"
        )
    return days


def _now() -> datetime.datetime:
    # The file has no fractions of seconds.
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def _keygen(options: console_script.Options) -> None:
    from pubsub_broker.security.enrollment import validate_name
    from pubsub_broker.security.key_store import KeyStore

    names = options["NAME"] or [_FIRST]
    for name in names:
        validate_name(name)
    if len(set(names)) < len(names):
        raise ConfigError("a client's name is given twice")
    store = KeyStore(options["DIR"])
    store.create()
    paths = [store.enroll(name, now=_now()) for name in names]
    console_script.print_line(
        f"start the broker with  pubsub-broker --secure {quote(str(store.directory))}"
    )
    for path in paths:
        console_script.print_line(f"and a client with      --keys {quote(str(path))}")


def _enroll(options: console_script.Options) -> None:
    from pubsub_common.security.z85 import KEY_LENGTH, is_key

    public = options["--public"]
    if public is not None and not is_key(public):
        raise ConfigError(
            f"--public: {public!r} is not a key of {KEY_LENGTH} characters"
        )
    days = _days(options["--days"])
    store = _store(options)
    path = store.enroll(options["NAME"], public=public, days=days, now=_now())
    if path is None:
        broker = store.pair().public
        console_script.print_line(
            f'{options["NAME"]} is enrolled; its file needs  broker = "{broker}"'
        )
    else:
        console_script.print_line(
            f"{options['NAME']} is enrolled; its keys are in {path}"
        )


def _revoke(options: console_script.Options) -> None:
    new = _store(options).revoke(options["NAME"], now=_now())
    did = "is revoked" if new else "was revoked before"
    console_script.print_line(f"{options['NAME']} {did}")


def _list(options: console_script.Options) -> None:
    now = _now()
    store = _store(options)
    store.pair()  # so that the error names a wrong folder
    clients = store.clients()
    for client in sorted(clients.values(), key=lambda each: each.name):
        until = f"until {client.expires:%Y-%m-%d %H:%M} UTC" if client.expires else ""
        console_script.print_line(
            f"{client.name:<20} {client.state(now):<8} {client.public}  {until}".rstrip()
        )

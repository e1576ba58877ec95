"""The console script ``pubsub-driver``: starts any role, any number of times.

The driver passes its options to the script of the role, which reads the environment and the
settings file itself. One role runs in this process. Several roles run as child processes: the
driver starts them, forwards signals to them and waits for them.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pubsub_common import defaults
from pubsub_common.cli import config_file, console_script, option_texts, usage_text
from pubsub_common.cli.parser import CONFIG_VARIABLE
from pubsub_common.cli.settings import Source, split_broker_address
from pubsub_common.errors import ConfigError
from pubsub_common.net import addresses
from pubsub_perf import driver_group
from pubsub_perf.driver_processes import run_together

PROGRAM: Final = "pubsub-driver"
# One machine runs hundreds of roles; tens of thousands are a typing error.
MAX_COUNT: Final = 1000

USAGE: Final = f"""Create publishers, subscribers or a broker on this host.

Examples:
  {PROGRAM} --broker 1 -c
  {PROGRAM} --subscriber 3 weather -b 10.0.0.1
  {PROGRAM} --publisher 10 weather -b 10.0.0.1 -m 100

Usage:
  {PROGRAM} [TOPIC]... [options]

One of --publisher, --subscriber and --broker is needed. COUNT processes of it run at
once. Their files, ports and addresses are numbered, and one Ctrl-C stops all of them.

What:
  --publisher COUNT               create COUNT publishers
  --subscriber COUNT              create COUNT subscribers
  --broker COUNT                  create a broker; a COUNT of 2 or more makes a group
                                  for tests at 127.0.0.1, 127.0.0.2, ..., with an etcd
                                  of its own
  --members COUNT                 broker: members of that etcd [default: 1]
{option_texts.TOPIC_OPTION}
{option_texts.CENTRALIZED_OPTION}
  --secure DIR                    broker: accept only clients with keys enrolled in the
                                  folder DIR (see pubsub-broker keygen)

Where:
{option_texts.WHERE_OPTIONS}
  --bind ADDRESS                  broker: IP address to serve; by default that of the
                                  Mininet host, else {defaults.LOOPBACK}
  --bind-port PORT                publisher: port to publish from; a publisher skips a
                                  port in use [default: {defaults.PUBLISHER_PORT}]

How long:
{option_texts.COUNT_OPTION}; by default after {defaults.MAX_EVENT_COUNT}; a
                                  broker: never
{option_texts.INDEFINITE_OPTION}; -m does not apply then
  -s SECONDS, --sleep SECONDS     publisher: time between two events
                                  [default: {defaults.SLEEP_PERIOD_S:g}]
{option_texts.WAIT_OPTIONS}

Output:
  -f FILE, --filename FILE        subscriber: write latencies to FILE as CSV, after the
                                  last event (see -m); FILE is numbered from 0 if
                                  COUNT is 2 or more
  --safe-csv                      subscriber: put an apostrophe before texts in FILE
                                  that a spreadsheet would run as a formula
{option_texts.VERBOSE_OPTION}

Rare:
{option_texts.RARE_CLIENT_OPTIONS}
{option_texts.COMMON_END}
"""

_ROLES: Final = ("publisher", "subscriber", "broker")
# The driver of the seed accepted these for any role, so this one does.
_SEEDS_OWN: Final = ("--bind-port", "--sleep")


@console_script.entry_point(PROGRAM)
def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    from pubsub_perf import __version__

    options = console_script.parse(USAGE, argv, PROGRAM, __version__)
    try:
        role, commands = plan(options)
        members = members_of(options)
        keys = piped_keys(options) if len(commands) > 1 else None
    except ConfigError as error:
        return console_script.print_error(PROGRAM, error, console_script.EXIT_USAGE)
    if len(commands) == 1:
        code: int = role_cli(role).main(commands[0])
        return code
    if role == "broker":
        return console_script.run(
            PROGRAM, lambda: driver_group.run_group(commands, members, say)
        )
    return console_script.run(PROGRAM, lambda: run_together(role, commands, keys))


def say(text: str) -> None:
    """Write a line to standard error."""
    console_script.print_message(PROGRAM, text)


def members_of(options: console_script.Options) -> int:
    """The number of members in the etcd of a group.

    Raises:
        ConfigError: the number is too large.
    """
    count = console_script.whole_number(options, "--members")
    if count > driver_group.MAX_MEMBERS:
        raise ConfigError(
            f"--members {count}: at most {driver_group.MAX_MEMBERS} are possible"
        )
    return count


def plan(options: console_script.Options) -> tuple[str, list[list[str]]]:
    """The role, and the command line of each instance.

    Raises:
        ConfigError: options contradict each other or are not valid.
    """
    asked = [role for role in _ROLES if options[f"--{role}"] is not None]
    if len(asked) != 1:
        which = " and ".join(f"--{role}" for role in asked) or "none"
        raise ConfigError(
            f"exactly one of --publisher, --subscriber, --broker is needed, not {which}"
        )
    role = asked[0]
    count = console_script.whole_number(options, f"--{role}")
    most = driver_group.MAX_BROKERS if role == "broker" else MAX_COUNT
    if count > most:
        raise ConfigError(f"--{role} {count}: at most {most} are possible")
    check_role(options, role)
    if options["--filename"] is not None and options["--indefinite"]:
        raise ConfigError("-f needs a limited number of events, so not with -i")
    told = given(options)
    if count > 1 and by_pipe(options):
        told.pop("--keys", None)
    if role == "subscriber":
        told |= seeds_limit(options, told)
    commands = [words_for(role, told, i, count) for i in range(count)]
    if role == "broker" and count > 1:
        if "--bind" in told:
            raise ConfigError(
                f"--broker {count} has addresses of its own, so not with --bind"
            )
        for words, address in zip(
            commands, driver_group.addresses_of(count), strict=True
        ):
            words += ["--bind", address]
    elif role == "broker" and "--bind" not in told:
        # As in the seed: on a Mininet host the broker has the address of that host.
        here = addresses.host_address()
        if here != defaults.LOOPBACK:
            commands[0] += ["--bind", here]
    return role, commands


def check_role(options: console_script.Options, role: str) -> None:
    """Raises:
    ConfigError: an option on the command line is for another role.
    """
    if role == "broker" and said(options, "--keys"):
        raise ConfigError("--keys is for clients; a broker takes --secure DIR")
    if role != "broker" and said(options, "--secure"):
        raise ConfigError("--secure is for a broker; clients take --keys FILE")
    for line in usage_text.option_lines(USAGE):
        of, colon, _ = line.text.partition(":")
        other = colon and of in _ROLES and of != role
        if other and line.long not in _SEEDS_OWN and said(options, line.long):
            raise ConfigError(f"{line.short or line.long} is for a {of} only")


def said(options: console_script.Options, name: str) -> bool:
    """Whether an option is on the command line."""
    return console_script.source_of(options, name) == Source.COMMAND_LINE


def given(options: console_script.Options) -> dict[str, Any]:
    """The options given to the driver, on the command line or in its table of the settings
    file. The role reads the other tables of that file itself."""
    found = in_file(options, PROGRAM, USAGE, None)
    words = {name: value for name, value in options.items() if said(options, name)}
    if "--broker-address" in words:
        found.pop("--broker-address", None)
    split_broker_address(found)
    told = {**found, **words}
    # As in the seed, a limit does not apply with -i; the role would reject both.
    if "--count" in words and "--indefinite" not in words:
        told.pop("--indefinite", None)
    elif "--indefinite" in told:
        told.pop("--count", None)
    return told


def in_file(
    options: console_script.Options, program: str, usage: str, shared: str | None
) -> dict[str, Any]:
    """The options of ``program`` in the settings file; empty without a file.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    path = options["--config"] or os.environ.get(CONFIG_VARIABLE)
    if not path:
        return {}
    of_all = None if shared is None else usage_text.option_lines(shared)
    return config_file.load(path, program, usage_text.option_lines(usage), of_all)


def seeds_limit(
    options: console_script.Options, told: Mapping[str, Any]
) -> dict[str, Any]:
    """The limit of the seed, for a subscriber without a limit."""
    usage = role_cli("subscriber").USAGE
    known = in_file(options, "pubsub-subscriber", usage, option_texts.SHARED_OPTIONS)
    for name in ("--indefinite", "--count"):
        if told.get(name) or known.get(name):
            return {}
    return {"--count": str(defaults.MAX_EVENT_COUNT)}


def by_pipe(options: console_script.Options) -> bool:
    """Whether the keys come through a pipe, like a shell's ``<(vault ...)``. Child processes
    do not have the pipe, and only one of them could read it."""
    return bool(options["--keys"]) and Path(options["--keys"]).is_fifo()


def piped_keys(options: console_script.Options) -> bytes | None:
    """The key file from a pipe, for the child processes; None if the keys are not in a pipe.

    Raises:
        ConfigError: the key file is not valid.
    """
    if not by_pipe(options):
        return None
    from pubsub_common.security.keys import client_file_text, load_client_keys

    return client_file_text(load_client_keys(options["--keys"])).encode()


def words_for(
    role: str, options: Mapping[str, Any], index: int, count: int
) -> list[str]:
    """The command line with ``options`` for instance ``index`` of ``count`` of a role."""
    words: list[str] = []
    for option in passed_on(role):
        name, value = option.long, options.get(option.long)
        if value in (None, False):
            continue
        if option.value is None:
            words.append(name)
            continue
        if count > 1 and name == "--filename":
            value = numbered(value, index)
        elif count > 1 and name == "--bind-port":
            value = str(console_script.port_number(options, name) + index)
        for each in value if option.repeated else [value]:
            words += [name, each]
    return words


def numbered(filename: str, index: int) -> str:
    """``latency.csv`` becomes ``latency-0.csv``."""
    path = Path(filename)
    return str(path.with_name(f"{path.stem}-{index}{path.suffix}"))


def passed_on(role: str) -> list[usage_text.OptionLine]:
    """The options of this program that the role's script has, too."""
    known = {option.long for option in usage_text.option_lines(USAGE)}
    options = usage_text.option_lines(role_cli(role).USAGE)
    return [option for option in options if option.long in known]


def role_cli(role: str) -> Any:
    """The module of a role's script, with the usage text ``USAGE`` and ``main``."""
    return importlib.import_module(f"pubsub_{role}.cli")

"""What the console scripts share: options, numbers, logging, exit codes. Shell.

The usage text of a program is its parser (`pubsub_common.cli.parser`); the option
lines that several programs have stand here once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pubsub_common import defaults
from pubsub_common.cli import parser, usage_text
from pubsub_common.cli.parser import normalise_argv as normalise_argv
from pubsub_common.cli.settings import Settings
from pubsub_common.cli.signals import stopped_by_signals as stopped_by_signals
from pubsub_common.errors import ConfigError, PubSubError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

Options = Mapping[str, Any]

TOPIC_OPTION: Final = """\
  -t TOPIC, --topic TOPIC         a topic; repeat for more: -t A -t B"""
KEYS_OPTION: Final = """\
  --keys FILE                     this client's keys, for a secure broker; else the
                                  file that PUBSUB_KEYS names"""
BROKER_OPTIONS: Final = f"""\
  -b HOST, --broker-address HOST  IP address or name of the broker, or HOST:PORT
                                  [default: {defaults.LOOPBACK}]
  --broker-port PORT              control port of the broker [default: {defaults.CONTROL_PORT}]
  --connect-timeout SECONDS       how long to try to reach the broker
                                  [default: {defaults.CONNECT_TIMEOUT_S:g}]
{KEYS_OPTION}"""
RUN_OPTIONS: Final = f"""\
  -i, --indefinite                go on until stopped
  -m N, --max-event-count N       stop after N events [default: {defaults.MAX_EVENT_COUNT}]"""
CENTRALIZED_OPTION: Final = """\
  -c, --centralized               events go through the broker; without it the
                                  broker is only a registry"""
ADDRESS_OPTION: Final = """\
  --address HOST                  this host's own IP address, instead of looking
                                  for it"""
CLOCK_OPTION: Final = """\
  --clock NAME                    clock of the time stamps, realtime or monotonic
                                  (one machine only) [default: realtime]"""
QUEUE_OPTION: Final = f"""\
  --queue-limit N                 events kept for a connection that is slow
                                  [default: {defaults.QUEUE_LIMIT}]"""
MEASURE_OPTIONS: Final = """\
  --details FILE                  write times and number of every event to FILE, as
                                  CSV compressed by gzip
  --report FILE                   write counts and figures to FILE, as JSON"""
LOG_OPTION: Final = """\
  --log-format FORMAT             text, or json: an object a line [default: text]"""
VERBOSE_OPTION: Final = """\
  -v, --verbose                   say more about what happens"""
CONFIG_OPTION: Final = """\
  --config FILE                   read settings from FILE, which is TOML; else from
                                  the file that PUBSUB_CONFIG names"""
PRINT_OPTION: Final = """\
  --print-config                  show the settings that apply, as TOML"""
COMPLETION_OPTION: Final = """\
  --completion SHELL              show a script that completes options in SHELL: bash,
                                  zsh or fish"""
HELP_OPTIONS: Final = """\
  -h, --help                      show this text
  --version                       show the version"""

# Which setting holds, of programs that serve and of those that look for a broker.
OPTIONS_WIN: Final = "Options win over a file of settings."
OPTIONS_WIN_OVER_BROKER: Final = """\
Options win over PUBSUB_BROKER (HOST or HOST:PORT), and that over a file of settings."""
# Of commands that are done at once, and of programs that run until they are stopped.
COMMAND_EXITS: Final = """\
Exit codes: 0 done; 1 failed; 2 options or settings that make no sense. Errors are one
line each."""
EXITS: Final = """\
Exit codes: 0 done, or stopped by a signal; 1 failed; 2 options or settings that make no
sense; 130 or 143 ended at once by a second signal. Errors are one line each."""

_LAST_OPTIONS: Final = "\n".join(
    (VERBOSE_OPTION, CONFIG_OPTION, PRINT_OPTION, COMPLETION_OPTION, HELP_OPTIONS)
)
# How the usage text ends of a program that looks for a broker, and of the broker's.
COMMON_OPTIONS: Final = f"{_LAST_OPTIONS}\n\n{OPTIONS_WIN_OVER_BROKER}\n\n{EXITS}"
SERVER_OPTIONS: Final = f"{_LAST_OPTIONS}\n\n{OPTIONS_WIN}\n\n{EXITS}"

# What a file of settings may say for all programs at once.
_SHARED: Final = "\n".join(
    (
        "Usage: [-t TOPIC]...",
        *(TOPIC_OPTION, BROKER_OPTIONS, RUN_OPTIONS, CENTRALIZED_OPTION),
        *(ADDRESS_OPTION, CLOCK_OPTION, QUEUE_OPTION, MEASURE_OPTIONS, LOG_OPTION),
        COMMON_OPTIONS,
    )
)

# Who asks these is to be answered soon.
_QUESTIONS: Final = {"-h", "--help", "--version", "--completion", "--print-config"}


def parse(doc: str, argv: Sequence[str] | None, program: str, version: str) -> Options:
    """The options of ``argv`` by the usage text ``doc``, completed by the environment
    and a file of settings.

    Exits with 0 after ``--help``, ``--version``, ``--completion`` and
    ``--print-config``, and with 2 and one line that says what is wrong when they make
    no sense.
    """
    words = sys.argv[1:] if argv is None else argv
    if not _QUESTIONS.intersection(words):
        # Every role needs it, and needs 2 MiB less if it comes before what the parser
        # leaves behind in the memory.
        import msgspec as msgspec
    try:
        try:
            options = parser.settings_of(doc, words, program, version, _SHARED)
            if text := _asked_for(options, doc, program):
                print(text)
                raise SystemExit(EXIT_OK)
        finally:
            sys.stdout.flush()
    except ConfigError as error:
        raise SystemExit(fail(program, error, EXIT_USAGE)) from None
    except BrokenPipeError:
        _leave_broken_pipe()
        raise SystemExit(EXIT_OK) from None
    return options


def _asked_for(options: Settings, doc: str, program: str) -> str | None:
    """What is to be printed instead of doing anything.

    Raises:
        ConfigError: that cannot be.
    """
    if options.get("--completion") is not None:
        from pubsub_common.cli import completion

        return completion.script(program, doc, options["--completion"])
    if options.get("--print-config"):
        from pubsub_common.cli import config_file

        return config_file.show(options, program, usage_text.option_lines(doc))
    return None


def strength(options: Options, name: str) -> int:
    """How strongly option ``name`` was asked for: 0, not at all, it has its default;
    else in a file, in the environment, in words."""
    return options.sources.get(name, 0) if isinstance(options, Settings) else 0


def choose(options: Options, *names: str) -> str | None:
    """Which of the options was asked for; None: none of them. Those exclude each other,
    but words go before the environment, and that before a file.

    Raises:
        ConfigError: several were asked for.
    """
    most = max(strength(options, name) for name in names)
    if not most:
        return None
    chosen = [name for name in names if strength(options, name) == most]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other")
    return chosen[0]


def required(options: Options, name: str, hint: str) -> Any:
    """Option ``name``, which the program cannot do without.

    Raises:
        ConfigError: it was not given.
    """
    if not options[name]:
        given = name.lstrip("-").replace("-", " ")
        raise ConfigError(f"no {given} given; add {hint}")
    return options[name]


def whole_number(options: Options, name: str, minimum: int = 1) -> int:
    """Option ``name`` as an int of at least ``minimum``.

    Raises:
        ConfigError: it is something else.
    """
    text = str(options[name])
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a whole number") from None
    if value < minimum:
        raise ConfigError(f"{name}: {value} is too small; at least {minimum} is needed")
    return value


def port_number(options: Options, name: str, minimum: int = 1) -> int:
    """Option ``name`` as a port, ``minimum`` to 65535.

    Raises:
        ConfigError: it is something else.
    """
    value = whole_number(options, name, minimum)
    if value > 65535:
        raise ConfigError(f"{name}: {value} is no port; ports end at 65535")
    return value


def seconds(options: Options, name: str) -> float:
    """Option ``name`` as a duration of 0 or more seconds.

    Raises:
        ConfigError: it is something else.
    """
    text = str(options[name])
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a number of seconds") from None
    if not 0 <= value < float("inf"):
        raise ConfigError(f"{name}: {text} is not a duration of 0 or more seconds")
    return value


def set_up_logging(
    program: str, *, verbose: bool, default: str = "WARNING", log_format: str = "text"
) -> None:
    """Log to standard error, so that standard output is free for data.

    Raises:
        ConfigError: ``log_format`` is neither text nor json, an object a line.
    """
    import logging

    if log_format not in ("text", "json"):
        raise ConfigError(f"--log-format is text or json, not {log_format!r}")
    logging.basicConfig(
        level="DEBUG" if verbose else default,
        format=f"{program}: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    if log_format == "json":
        from pubsub_common.logs.json_formatter import JsonFormatter

        logging.getLogger().handlers[0].setFormatter(JsonFormatter(program))


def run(program: str, work: Callable[[], None]) -> int:
    """Do the work; the exit code that its outcome asks for, errors on one line."""
    try:
        work()
        sys.stdout.flush()
    except ConfigError as error:
        return fail(program, error, EXIT_USAGE)
    except PubSubError as error:
        return fail(program, error, EXIT_FAILED)
    except BrokenPipeError:
        _leave_broken_pipe()
    except OSError as error:
        return fail(program, error, EXIT_FAILED)
    return EXIT_OK


def _leave_broken_pipe() -> None:
    """Whoever read our output has left (`| head`): nothing is wrong. But Python would
    complain once more when it flushes standard output at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(program: str, error: Exception | str, code: int) -> int:
    """Say on one line what went wrong; returns ``code``."""
    say(program, str(error), "ERROR")
    return code


def say(program: str, text: str, level: str = "INFO") -> None:
    """Say something on a line of standard error, in the form of the log."""
    line = f"{program}: {text}"
    # Loaded only by who logs JSON.
    if logformat := sys.modules.get("pubsub_common.logs.json_formatter"):
        line = logformat.json_line(program, text, level) or line
    print(line, file=sys.stderr)

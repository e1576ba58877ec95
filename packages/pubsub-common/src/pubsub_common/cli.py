"""What the console scripts share: options, numbers, logging, exit codes. Shell.

The only user of docopt. The usage text of a program is its parser; the option
lines that several programs have stand here once.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pubsub_common import defaults
from pubsub_common.errors import ConfigError, PubSubError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

Options = Mapping[str, Any]

TOPIC_OPTION: Final = """\
  -t TOPIC, --topic TOPIC         a topic; repeat for more: -t A -t B"""
BROKER_OPTIONS: Final = f"""\
  -b HOST, --broker-address HOST  IP address of the broker
  --broker-port PORT              control port of the broker [default: {defaults.CONTROL_PORT}]
  --connect-timeout SECONDS       how long to try to reach the broker
                                  [default: {defaults.CONNECT_TIMEOUT_S:g}]"""
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
COMMON_OPTIONS: Final = """\
  -v, --verbose                   say more about what happens
  -h, --help                      show this text
  --version                       show the version"""

# The seed's driver spelled some long options with one dash.
_ONE_DASH: Final = {"pub": "publisher", "sub": "subscriber", "bp": "bind-port"}
_LONG: Final = re.compile(r"(?<![\w-])--([A-Za-z][\w-]*)")


def normalise_argv(argv: Sequence[str]) -> list[str]:
    """``--max_event_count`` becomes ``--max-event-count`` and ``-pub 1`` becomes
    ``--publisher 1``; what follows ``--`` stays."""
    out: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            out.append(word)
            out.extend(words)
            break
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("--"):
            word = "--" + name.replace("_", "-") + equals + value
        elif word.startswith("-") and name in _ONE_DASH:
            word = "--" + _ONE_DASH[name] + equals + value
        out.append(word)
    return out


def parse(doc: str, argv: Sequence[str] | None, program: str, version: str) -> Options:
    """The options of ``argv`` by the usage text ``doc``.

    Exits with 0 after ``--help`` and ``--version``, and with 2 and one line that
    says what is wrong when the words do not fit.
    """
    from docopt import DocoptExit, docopt

    words = normalise_argv(sys.argv[1:] if argv is None else argv)
    try:
        return dict(docopt(doc, argv=words, version=f"{program} {version}"))
    except DocoptExit as error:
        reason = _explain(str(error.code), words, set(_LONG.findall(doc)))
        print(f"{program}: {reason}; try {program} --help", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None


def _explain(message: str, words: Sequence[str], longs: set[str]) -> str:
    """Docopt's complaint in words for people."""
    for word in words:
        if word == "--":
            break
        name = word[2:].partition("=")[0]
        if word.startswith("--") and not any(k.startswith(name) for k in longs):
            near = difflib.get_close_matches(name, longs, 1)
            hint = f" (did you mean --{near[0]}?)" if near else ""
            return f"unknown option --{name}{hint}"
    first = message.partition("\n")[0]
    if first.endswith(("requires argument", "must not have an argument")):
        return first
    if first.startswith("Warning: found unmatched"):
        pairs = re.findall(
            r"(?:Option|Argument)\(('[^']*'|None), ('[^']*'|None)", first
        )
        found = " ".join((a if a != "None" else b).strip("'") for a, b in pairs)
        return f"unexpected, repeated or contradictory: {found}"
    return "something required is missing"


def required(options: Options, name: str, hint: str) -> Any:
    """Option ``name``, which the program cannot do without.

    Raises:
        ConfigError: it was not given.
    """
    if not options[name]:
        raise ConfigError(f"no {name[2:].replace('-', ' ')} given; add {hint}")
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


def set_up_logging(program: str, *, verbose: bool, default: str = "WARNING") -> None:
    """Log to standard error, so that standard output is free for data."""
    import logging

    logging.basicConfig(
        level="DEBUG" if verbose else default,
        format=f"{program}: %(message)s",
        stream=sys.stderr,
        force=True,
    )


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
        # Whoever read our output has left (`| head`): nothing is wrong. Python
        # would complain once more when it flushes standard output at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return fail(program, error, EXIT_FAILED)
    return EXIT_OK


def fail(program: str, error: Exception | str, code: int) -> int:
    """Say on one line what went wrong; returns ``code``."""
    print(f"{program}: {error}", file=sys.stderr)
    return code


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls ``stop``; a second one ends the process.

    They do so in a thread. Python runs signal handlers between two instructions of
    the main thread, and one that comes just before that thread begins to wait for
    something would be handled after the wait.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)

    def watch() -> None:
        stopping = False
        while number := os.read(read_fd, 1):
            if number[0] not in numbers:
                continue
            if stopping:
                os._exit(128 + number[0])
            stopping = True
            stop()

    thread = threading.Thread(target=watch, name="signals", daemon=True)
    thread.start()
    previous_fd = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(previous_fd)
        os.close(write_fd)
        thread.join()
        os.close(read_fd)

"""The steps of every console script: parse options, set up logging, run, return an exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from pubsub_common.cli import option_texts, parser, standard_streams, usage_text
from pubsub_common.cli.settings import Settings
from pubsub_common.cli.signals import stop_on_signals as stop_on_signals
from pubsub_common.cli.standard_streams import OutputFailed, ReaderLeft
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.logs.text_line import LineStyle, style_for, text_line
from pubsub_common.text import ascii_numbers
from pubsub_common.text.printable import printable, printable_json

if TYPE_CHECKING:
    import logging

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

Options = Mapping[str, Any]
_Words = ParamSpec("_Words")

# Options that only print something; their output should come fast.
_INFORMATIONAL: Final = {
    "-h",
    "--help",
    "-V",
    "--version",
    "--completion",
    "--man",
    "--print-config",
}


def entry_point(
    program: str,
) -> Callable[[Callable[_Words, int]], Callable[_Words, int]]:
    """Decorates the ``main`` of each console script: standard streams may be closed or broken,
    and an unhandled Ctrl-C prints one line."""

    def around(main: Callable[_Words, int]) -> Callable[_Words, int]:
        @functools.wraps(main)
        def guarded(*args: _Words.args, **kwargs: _Words.kwargs) -> int:
            standard_streams.open_standard_streams(
                functools.partial(_left_out, program)
            )
            try:
                return main(*args, **kwargs)
            except KeyboardInterrupt:
                standard_streams.release_output_soon()
                return print_error(program, "interrupted", EXIT_INTERRUPTED)
            finally:
                standard_streams.settle()

        return guarded

    return around


def parse(doc: str, argv: Sequence[str] | None, program: str, version: str) -> Options:
    """The options in ``argv`` by the usage text ``doc``, with those of the environment and the
    config file.

    Exits with 0 after ``--help``, ``--version``, ``--completion`` and
    ``--print-config``, and with 2 and one line if an
    option is invalid.
    """
    words = sys.argv[1:] if argv is None else argv
    if not _INFORMATIONAL.intersection(words):
        # Every role needs it. Loaded before the parser, it needs 2 MiB less memory.
        import msgspec as msgspec
    try:
        try:
            options = parser.parse_settings(
                doc, words, program, version, option_texts.SHARED_OPTIONS
            )
            if text := _informational_output(options, doc, program):
                print(text)
                raise SystemExit(EXIT_OK)
        finally:
            sys.stdout.flush()
    except ConfigError as error:
        raise SystemExit(print_error(program, error, EXIT_USAGE)) from None
    except ReaderLeft:
        raise SystemExit(EXIT_OK) from None
    except OutputFailed as error:
        raise SystemExit(print_error(program, error, EXIT_FAILED)) from None
    return options


def _informational_output(options: Settings, doc: str, program: str) -> str | None:
    """The text to print instead of running the program; None without one.

    Raises:
        ConfigError: the text cannot be made.
    """
    if options.get("--completion") is not None:
        from pubsub_common.cli import completion

        return completion.script(program, doc, options["--completion"])
    if options.get("--print-config"):
        from pubsub_common.cli import config_file

        return config_file.show(options, program, usage_text.option_lines(doc))
    return None


def source_of(options: Options, name: str) -> int:
    """The source of option ``name`` (`Source`); 0 for the default."""
    return options.sources.get(name, 0) if isinstance(options, Settings) else 0


def chosen_option(options: Options, *names: str) -> str | None:
    """The option that was given, of several that exclude each other; None without one. An
    option from a stronger source overrides the others.

    Raises:
        ConfigError: the same source gives several.
    """
    most = max(source_of(options, name) for name in names)
    if not most:
        return None
    chosen = [name for name in names if source_of(options, name) == most]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other")
    return chosen[0]


def required(options: Options, name: str, hint: str) -> Any:
    """Option ``name``, which the program needs.

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
        ConfigError: the value is invalid.
    """
    text = str(options[name])
    try:
        value = ascii_numbers.whole_number(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a whole number") from None
    if value < minimum:
        raise ConfigError(f"{name}: {value} is too small; at least {minimum} is needed")
    return value


def port_number(options: Options, name: str, minimum: int = 1) -> int:
    """Option ``name`` as a port, ``minimum`` to 65535.

    Raises:
        ConfigError: the value is invalid.
    """
    value = whole_number(options, name, minimum)
    if value > 65535:
        raise ConfigError(f"{name}: {value} is not a valid port ({minimum}-65535)")
    return value


def seconds(options: Options, name: str) -> float:
    """Option ``name`` as a duration of 0 or more seconds.

    Raises:
        ConfigError: the value is invalid.
    """
    text = str(options[name])
    try:
        value = ascii_numbers.real_number(text)
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
        level="DEBUG" if verbose else default, stream=sys.stderr, force=True
    )
    logging.getLogger().handlers[0].setFormatter(_formatter(program, log_format))


def _formatter(program: str, log_format: str) -> logging.Formatter:
    # Load only one of them.
    if log_format == "json":
        from pubsub_common.logs.json_formatter import JsonFormatter

        return JsonFormatter(program)
    from pubsub_common.logs.line_formatter import LineFormatter

    return LineFormatter(program, _style())


def _style() -> LineStyle:
    return style_for(os.environ, on_terminal=sys.stderr.isatty())


def run(program: str, work: Callable[[], None]) -> int:
    """Run ``work``, print an error on one line, and return the exit code."""
    try:
        work()
        sys.stdout.flush()
    except ReaderLeft:
        return EXIT_OK
    except ConfigError as error:
        return print_error(program, error, EXIT_USAGE)
    except OSError as error:
        from pubsub_common.files import reason_of

        return print_error(program, reason_of(error), EXIT_FAILED)
    except PubSubError as error:
        return print_error(program, error, EXIT_FAILED)
    return EXIT_OK


def print_error(program: str, error: Exception | str, code: int) -> int:
    """Print an error on one line; returns ``code``."""
    print_message(program, str(error), "ERROR")
    return code


def print_line(text: str) -> None:
    """Write a line to standard output; on a terminal, control characters are escaped."""
    print(printable(text) if sys.stdout.isatty() else text)


def print_json(text: str) -> None:
    """Write a JSON object to standard output, on a line that is flushed; on a terminal,
    control characters are escaped."""
    print(printable_json(text) if sys.stdout.isatty() else text, flush=True)


def print_message(program: str, text: str, level: str = "INFO") -> None:
    """Write a line to standard error, in the format of the log."""
    print(_message_line(program, text, level), file=sys.stderr)


def _message_line(program: str, text: str, level: str) -> str:
    # Only programs that log JSON load its formatter.
    if json_formatter := sys.modules.get("pubsub_common.logs.json_formatter"):
        line: str | None = json_formatter.json_line(program, text, level)
        if line is not None:
            return line
    return text_line(program, text, level, _style())


def _left_out(program: str, lines: int) -> str:
    what = "1 line is" if lines == 1 else f"{lines} lines are"
    text = (
        f"{what} missing here: the log was not read, or could not be written, in time"
    )
    return _message_line(program, text, "WARNING")

"""Reads the options for the source of events: --stdin, --file, --literal, --template, --rate."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from pubsub_common.cli import console_script
from pubsub_common.cli.settings import Source
from pubsub_common.errors import ConfigError
from pubsub_common.queue_bounds import QueueBounds
from pubsub_common.text.ascii_numbers import real_number

if TYPE_CHECKING:
    from pubsub_publisher.publisher import Publisher

_SOURCES: Final = ("--stdin", "--file", "--literal", "--template")
_REPEATED: Final = ("--literal", "--template")
_GENERATED_ONLY: Final = (
    *("--hold", "--details", "--report"),
    *("--arrivals", "--payload-size"),
)
_ONCE: Final = ("--stdin", "--file")


def source(options: console_script.Options) -> str | None:
    """The option that names the source of events; None: events are generated.

    Raises:
        ConfigError: There are several.
    """
    return console_script.chosen_option(options, *_SOURCES)


def count(options: console_script.Options) -> int | None:
    """The number of events after which to stop; None: no limit was given.

    Raises:
        ConfigError: The value is not a whole number of 1 or more.
    """
    if options["--count"] is None:
        return None
    try:
        return console_script.whole_number(options, "--count")
    except ConfigError as error:
        if str(options["--count"]).strip("+-.0123456789"):
            # Other programs have -m for a message.
            raise ConfigError(f"{error} (-l TEXT publishes a text)") from None
        raise


def rate(options: console_script.Options) -> float | None:
    """The most events a second; None: no limit.

    Raises:
        ConfigError: The value is not a number of more than 0.
    """
    text = options["--rate"]
    if text is None:
        return None
    try:
        value = real_number(text)
    except ValueError:
        raise ConfigError(f"--rate: {text!r} is not a number") from None
    if not 0 < value < float("inf"):
        raise ConfigError(f"--rate: {text} is not more than 0 events a second")
    return value


def period_s(options: console_script.Options) -> float:
    """The time between generated events, in seconds.

    Raises:
        ConfigError: There is no time, or there are two.
    """
    per_second = rate(options)
    if per_second is None or source(options):
        return console_script.seconds(options, "--sleep")
    if console_script.chosen_option(options, "--rate", "--sleep") == "--rate":
        return 1 / per_second
    return console_script.seconds(options, "--sleep")


def source_rate(options: console_script.Options) -> float | None:
    """The most events of a source a second, by --rate or --sleep; None: no limit. The default
    of --sleep is for generated events only.

    Raises:
        ConfigError: A value is invalid, or both options are given.
    """
    if console_script.chosen_option(options, "--rate", "--sleep") != "--sleep":
        return rate(options)
    between_s = console_script.seconds(options, "--sleep")
    return 1 / between_s if between_s else None


def source_publisher(
    options: console_script.Options,
) -> Callable[[Publisher], int] | None:
    """A function that publishes the events of the source and returns their number; None: events
    are generated.

    Raises:
        ConfigError: The options contradict each other, or a file cannot be read.
    """
    name = source(options)
    if name is None:
        return None
    for other in _GENERATED_ONLY:
        if console_script.source_of(options, other) == Source.COMMAND_LINE:
            # Most texts have no option before them.
            given = "a PAYLOAD" if name == "--literal" else name
            raise ConfigError(f"{other} is for generated events, so not with {given}")
    indefinite = console_script.source_of(options, "--indefinite")
    if name in _ONCE and indefinite == Source.COMMAND_LINE:
        raise ConfigError(f"{name} is published once, so not with -i")
    limit = _limit(options, name)
    per_second = source_rate(options)
    if name == "--file":
        from pubsub_publisher.input.sources import check_files

        check_files(options["--file"])
    if name == "--template":
        return _template_publisher(options["--template"], limit, per_second)

    def work(publisher: Publisher) -> int:
        from pubsub_publisher.input.publish_input import publish_source

        events = _events(options, name, limit, lambda: publisher.stopped)
        return publish_source(publisher, events, limit=limit, rate=per_second)

    return work


def _limit(options: console_script.Options, name: str) -> int | None:
    """The most events; None: all events of the source, or no limit."""
    given = count(options)
    if name not in _REPEATED:
        return given
    indefinite = console_script.source_of(options, "--indefinite")
    if options["--indefinite"] and indefinite >= console_script.source_of(
        options, "--count"
    ):
        return None
    return given or (len(options[name]) if name == "--literal" else 1)


def _template_publisher(
    text: str, limit: int | None, per_second: float | None
) -> Callable[[Publisher], int]:
    """A function that publishes a text with fields, which are filled in when each event is due.

    Raises:
        ConfigError: The text is not a template.
    """
    from pubsub_publisher.input.payload_template import payload_template

    fill = payload_template(text)

    def work(publisher: Publisher) -> int:
        from pubsub_publisher.input.publish_input import publish_source, turns

        waits = turns(per_second, lambda: publisher.stopped)
        events = ([fill(number)] for number in waits)
        return publish_source(publisher, events, limit=limit)

    return work


def _events(
    options: console_script.Options,
    name: str,
    limit: int | None,
    stopped: Callable[[], bool],
) -> Iterator[list[bytes]]:
    from pubsub_publisher.input import sources

    if name == "--literal":
        # The bytes as they were typed, in any encoding.
        texts = [os.fsencode(text) for text in options[name]]
        return sources.literals(texts, limit)
    most = console_script.whole_number(options, "--max-payload")
    bounds = QueueBounds(payload_bytes=most)
    if name == "--file":
        return sources.files(options[name], stopped, bounds)
    stdin: Any = sys.stdin
    if stdin is None:
        raise ConfigError("--stdin: standard input is closed")
    return sources.records(
        stdin.fileno(), b"\0" if options["--null"] else b"\n", stopped, bounds
    )

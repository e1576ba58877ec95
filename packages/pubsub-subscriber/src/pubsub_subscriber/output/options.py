"""Reads the options that say how events are printed, and when that ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.output.formats import Render
    from pubsub_subscriber.subscriber import Subscriber

_FORMATS: Final = ("--format", "--json", "--raw")
_PRINTING_ONLY: Final = (*_FORMATS, "--null", "--flush", "--timeout")


def event_limit(options: console_script.Options) -> int | None:
    """How many events there are to be; None: it goes on until stopped.

    Raises:
        ConfigError: the options contradict each other, or it is not a number.
    """
    asked = console_script.chosen_option(options, "--count", "--max-event-count")
    name = asked or "--max-event-count"
    count = console_script.whole_number(options, name)
    if options["--indefinite"]:
        if console_script.source_of(
            options, "--indefinite"
        ) >= console_script.source_of(options, name):
            return None
    elif asked is None and console_script.chosen_option(options, *_FORMATS):
        return None
    return count


def event_printer(
    options: console_script.Options, on_event: Callable[[Event], None] | None
) -> Callable[[Subscriber], object] | None:
    """What prints the events as the options ask; None: nothing is printed.

    Raises:
        ConfigError: they contradict each other, or make no sense.
    """
    if options["--filename"]:
        for name in _PRINTING_ONLY:
            if options[name]:
                raise ConfigError(f"{name} is for printing, so not with -f")
        return None
    render = _render(options)
    timeout_s = None
    if options["--timeout"] is not None:
        timeout_s = console_script.seconds(options, "--timeout")

    def work(subscriber: Subscriber) -> None:
        from pubsub_subscriber.output import stdout_writer

        ended = stdout_writer.print_events(
            subscriber,
            stdout_writer.StdoutWriter(render, flush=options["--flush"]),
            on_event=on_event,
            timeout_s=timeout_s,
        )
        if not ended and not subscriber.event_count:
            raise PubSubError(f"no event came within {timeout_s:g} s")

    return work


def _render(options: console_script.Options) -> Render:
    from pubsub_subscriber.output import formats

    end = b"\0" if options["--null"] else b"\n"
    match console_script.chosen_option(options, *_FORMATS):
        case "--format":
            return formats.template(options["--format"], end)
        case "--json":
            return formats.json(end)
        case "--raw":
            return formats.raw(end)
        case _:
            return formats.plain(end)

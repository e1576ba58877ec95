"""Reads the options that say how events are printed, and when that ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.output.formats import Render
    from pubsub_subscriber.subscriber import Subscriber

_FORMATS: Final = ("--format", "--json", "--raw")
_PRINTING_ONLY: Final = (*_FORMATS, "--null", "--flush", "--timeout")


class EventLimit(NamedTuple):
    """How many events there are to be, and by which option."""

    events: int
    option: str

    def ended(self, event_count: int) -> str | None:
        """What to say of a subscriber that has received ``event_count`` events; None: it
        was not the limit that ended it."""
        if event_count < self.events:
            return None
        return f"ended after {self.events} events ({self.option})"


def event_limit(options: console_script.Options) -> EventLimit | None:
    """How many events there are to be; None: it goes on until stopped.

    Raises:
        ConfigError: the options contradict each other, or it is not a number.
    """
    name = console_script.chosen_option(options, "--count", "--max-event-count")
    if name is not None:
        limit = EventLimit(console_script.whole_number(options, name), name)
        indefinite = console_script.source_of(options, "--indefinite")
        if not options["--indefinite"] or indefinite < console_script.source_of(
            options, name
        ):
            return limit
    elif options["--filename"] and not options["--indefinite"]:
        # As in the seed: a file is written when all events have arrived.
        by_default = "--count, by default with -f"
        return EventLimit(defaults.MAX_EVENT_COUNT, by_default)
    return None


def event_printer(
    options: console_script.Options,
    on_event: Callable[[Event], None] | None,
    say: Callable[[str], None],
) -> Callable[[Subscriber], object] | None:
    """What prints the events as the options ask; None: nothing is printed. ``say`` tells
    the user why it ended.

    Raises:
        ConfigError: they contradict each other, or make no sense.
    """
    if options["--filename"]:
        if event_limit(options) is None:
            raise ConfigError("-f needs a limited number of events, so not with -i")
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

        in_time = stdout_writer.print_events(
            subscriber,
            stdout_writer.StdoutWriter(render, flush=options["--flush"]),
            on_event=on_event,
            timeout_s=timeout_s,
        )
        if in_time or timeout_s is None:
            return
        if not subscriber.event_count:
            raise PubSubError(f"no event came within {timeout_s:g} s")
        say(f"ended, as no event came for {timeout_s:g} s (--timeout)")

    return work


def _render(options: console_script.Options) -> Render:
    from pubsub_subscriber.output import formats

    end = b"\0" if options["--null"] else b"\n"
    on_terminal = sys.stdout.isatty()
    match console_script.chosen_option(options, *_FORMATS):
        case "--format":
            return formats.template(options["--format"], end, on_terminal=on_terminal)
        case "--json":
            return formats.json(end, on_terminal=on_terminal)
        case "--raw":
            return formats.raw(end)
        case _:
            return formats.plain(end, on_terminal=on_terminal)

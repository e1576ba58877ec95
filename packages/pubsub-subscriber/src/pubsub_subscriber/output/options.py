"""Reads the options for handling events, and for the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.text.ascii_numbers import real_number
from pubsub_common.text.counted import counted
from pubsub_common.text.template import field_names

if TYPE_CHECKING:
    from pubsub_common.protocol.events import Event
    from pubsub_subscriber.output.formats import Render
    from pubsub_subscriber.output.handling import EventFilter, EventOutput
    from pubsub_subscriber.subscriber import Subscriber

_OUTPUTS: Final = ("--format", "--json", "--raw", "--exec", "--dump")
_FILTERS: Final = ("--exclude", "--sample")
_PRINTING_ONLY: Final = (*_OUTPUTS, *_FILTERS, "--null", "--flush", "--timeout")


class EventLimit(NamedTuple):
    """The number of events after which to end, and its option."""

    events: int
    option: str

    def ended(self, event_count: int) -> str | None:
        """The message after ``event_count`` received events; None: the limit was not the
        reason for the end."""
        if event_count < self.events:
            return None
        return f"ended after {counted(self.events, 'event')} ({self.option})"


def event_limit(options: console_script.Options) -> EventLimit | None:
    """The number of events after which to end; None: no limit.

    Raises:
        ConfigError: The options contradict each other, or the value is not a number.
    """
    if options["--count"] is not None:
        name = "--count"
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


def filters(options: console_script.Options) -> bool:
    """Whether some events are left out, so that the limit counts the others."""
    return bool(options["--exclude"]) or options["--sample"] is not None


def event_handling(
    options: console_script.Options,
    on_event: Callable[[Event], None] | None,
    say: Callable[[str], None],
) -> EventHandling | None:
    """The handling of events from the options; None: none. ``say`` prints a message.

    Raises:
        ConfigError: An option is not valid, or two contradict each other.
    """
    if options["--filename"]:
        if event_limit(options) is None:
            raise ConfigError("-f needs a limited number of events, so not with -i")
        for name in _PRINTING_ONLY:
            if options[name]:
                raise ConfigError(f"{name} is for printing, so not with -f")
        return None
    return EventHandling(options, on_event, say)


class EventHandling:
    """Reads the options, and handles the events accordingly.

    ``handled`` counts events; None: all events of the subscriber.
    """

    def __init__(
        self,
        options: console_script.Options,
        on_event: Callable[[Event], None] | None,
        say: Callable[[str], None],
    ) -> None:
        """Raises:
        ConfigError: An option is not valid, or two contradict each other.
        """
        from pubsub_subscriber.output.handling import Handling

        timeout_s = None
        if options["--timeout"] is not None:
            timeout_s = console_script.seconds(options, "--timeout")
        self._say = say
        self._stopped: Callable[[], bool] = lambda: False
        limit = event_limit(options) if filters(options) else None
        self._handling = Handling(
            _output(options, say, lambda: self._stopped()),
            filter=_filter(options),
            limit=None if limit is None else limit.events,
            on_event=on_event,
            timeout_s=timeout_s,
        )

    @property
    def handled(self) -> int | None:
        return None if self._handling.filter is None else self._handling.handled

    def __call__(self, subscriber: Subscriber) -> None:
        """Handle the events of ``subscriber`` until there are no more.

        Raises:
            PubSubError: None arrived within ``--timeout``, or one could not be handled.
        """
        self._stopped = lambda: subscriber.stopped
        if self._handling.run(subscriber):
            return
        timeout_s = self._handling.timeout_s
        if not self._handling.handled:
            from pubsub_subscriber.output.topic_hint import topic_hint

            hint = topic_hint(subscriber)
            why = f": {hint}" if hint else ""
            raise PubSubError(f"no event came within {timeout_s:g} s{why}")
        self._say(f"ended, as no event came for {timeout_s:g} s (--timeout)")


def _output(
    options: console_script.Options,
    warn: Callable[[str], None],
    stopped: Callable[[], bool],
) -> EventOutput:
    name = console_script.chosen_option(options, *_OUTPUTS)
    if name in ("--exec", "--dump"):
        for other in ("--null", "--flush"):
            if options[other]:
                raise ConfigError(f"{other} is for printing, so not with {name}")
    if name == "--exec":
        from pubsub_subscriber.output.command_runner import CommandRunner

        jobs = console_script.whole_number(options, "--jobs")
        if not options["--exec"].strip():
            raise ConfigError("--exec: the command is empty")
        return CommandRunner(options["--exec"], jobs, warn, stopped)
    if name == "--dump":
        from pubsub_subscriber.output.folder_writer import FolderWriter

        return FolderWriter(options["--dump"])
    from pubsub_subscriber.output.stdout_writer import StdoutWriter

    return StdoutWriter(_render(options, name), flush=options["--flush"])


def _filter(options: console_script.Options) -> EventFilter | None:
    if not filters(options):
        return None
    from pubsub_common.protocol.wildcards import validate_subscriptions
    from pubsub_subscriber.output.handling import EventFilter

    exclude = options["--exclude"]
    percent = 100.0
    if options["--sample"] is not None:
        percent = _percent(options["--sample"])
    try:
        return EventFilter(validate_subscriptions(exclude) if exclude else (), percent)
    except ConfigError as error:
        raise ConfigError(f"--exclude: {error}") from None


def _percent(text: str) -> float:
    try:
        value = real_number(text.removesuffix("%"))
    except ValueError:
        raise ConfigError(f"--sample: {text!r} is not a percentage") from None
    if not 0 < value <= 100:
        raise ConfigError(f"--sample: {text} is not more than 0 and at most 100")
    return value


def _render(options: console_script.Options, name: str | None) -> Render:
    from pubsub_subscriber.output import formats

    end = b"\0" if options["--null"] else b"\n"
    on_terminal = sys.stdout.isatty()
    match name:
        case "--format":
            text = options["--format"]
            if "time" in field_names(text) and options["--clock"] != "realtime":
                raise ConfigError("--format: {time} needs --clock realtime")
            return formats.template(text, end, on_terminal=on_terminal)
        case "--json":
            return formats.json(end, nest=options["--nest"], on_terminal=on_terminal)
        case "--raw":
            return formats.raw(end)
        case _:
            return formats.plain(end, on_terminal=on_terminal)

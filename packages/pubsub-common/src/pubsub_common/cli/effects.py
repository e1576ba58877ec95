"""Rejects options that have no effect, and options that contradict each other.

The usage text says which these are. "with --exec: ..." begins the description of an option
that has an effect only with another one, and "not with -m" names one that contradicts it.
Only options on the command line count: a config file serves several programs and calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pubsub_common.cli.settings import Settings, Source
from pubsub_common.cli.usage_text import OptionLine
from pubsub_common.errors import ConfigError


def check(settings: Settings, lines: Sequence[OptionLine]) -> None:
    """Check the options of the command line, once those of all sources are known.

    Raises:
        ConfigError: one has no effect, or two contradict each other.
    """
    by_name = {name: line for line in lines for name in (line.long, line.short) if name}
    for line in lines:
        if not _said(settings, line):
            continue
        if line.needed and not any(
            _holds(settings, by_name[name], value) for name, value in line.needed
        ):
            needed = " or ".join(
                name if value is None else f"{name} {value}"
                for name, value in line.needed
            )
            raise ConfigError(f"{line.short or line.long} is for {needed} only")
        _check_contradictions(settings, line, by_name)


def _check_contradictions(
    settings: Settings, line: OptionLine, by_name: Mapping[str, OptionLine]
) -> None:
    for name in line.contradicted:
        if _said(settings, by_name[name]):
            raise ConfigError(
                f"{name} and {line.short or line.long} exclude each other"
            )


def _said(settings: Settings, line: OptionLine) -> bool:
    return settings.sources.get(line.long) == Source.COMMAND_LINE


def _holds(settings: Settings, line: OptionLine, value: str | None) -> bool:
    """Whether an option has the value, or any other than its default."""
    found = settings[line.long]
    if value is not None:
        return bool(found == value)
    return bool(found) and found != line.default

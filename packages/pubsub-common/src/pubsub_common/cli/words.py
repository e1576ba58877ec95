"""Spells out the words of a command line: each option by its long name, with its value.

docopt then matches the words with the usage text. It sees no abbreviation, no other
spelling of an option, and no value that begins with a dash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pubsub_common.cli.usage_text import OptionLine
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.broker_url import has_scheme, is_url, parse_url

# Accepted spellings that the help texts leave out: those of the seed, and shorter ones.
OTHER_NAMES: Final = {
    "advertise": "address",
    "broker": "broker-address",
    "max-event-count": "count",
    "topics": "topic",
}
# The seed's driver has these long options with one dash.
_SINGLE_DASH: Final = {"pub": "publisher", "sub": "subscriber", "bp": "bind-port"}
# Names of options in other programs, and the names here; the first known name counts.
_ELSEWHERE: Final = {
    "p": ("broker-port", "port"),
    "port": ("broker-port",),
    "host": ("broker-address", "bind"),
    "server": ("broker-address",),
    "url": ("broker-address",),
    "uri": ("broker-address",),
    "listen": ("bind",),
    "n": ("count",),
    "number": ("count",),
    "limit": ("count",),
    "message": ("literal",),
    "payload": ("literal",),
    "text": ("literal",),
    "data": ("literal",),
    "subject": ("topic",),
    "channel": ("topic",),
    "pattern": ("topic",),
    "interval": ("sleep",),
    "delay": ("sleep",),
    "output": ("out", "filename"),
    "o": ("out", "filename"),
    "d": ("verbose",),
    "debug": ("verbose",),
    "silent": ("quiet",),
    "key": ("keys",),
    "identity": ("keys",),
    "backlog": ("history",),
    # Options of the broker at clients, and of clients at the broker.
    "secure": ("keys",),
    "keys": ("secure",),
    "address": ("bind",),
    "broker-address": ("bind",),
}
# The value of these options is a payload, which may be empty.
MAY_BE_EMPTY: Final = ("literal",)
_NEGATIVE: Final = re.compile(r"-[0-9.][0-9.eE+-]*")


class SpelledOut(NamedTuple):
    """The words of a command line, taken apart. An option without a value has None.
    ``words`` are the others, and ``rest`` those behind ``--``; None: there is no ``--``."""

    options: list[tuple[OptionLine, str | None]]
    words: list[str]
    rest: list[str] | None

    def has(self, long: str) -> bool:
        """Whether option ``long`` is among them."""
        return any(line.long == long for line, _ in self.options)


def spell_out(argv: Sequence[str], lines: Sequence[OptionLine]) -> SpelledOut:
    """Take the words of a command line apart, by the options of a usage text.

    Raises:
        ConfigError: an option is unknown or ambiguous, lacks its value, has an empty one or
            one that it does not take, or is there twice.
    """
    found = SpelledOut([], [], None)
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            return found._replace(rest=words)
        name, equals, value = word.partition("=")
        if _is_long(name):
            line = _long(name, lines)
            _add(found, line, name, value if equals else None, words)
        elif word.startswith("-") and word != "-" and not _is_number(word, lines):
            _add_shorts(found, word, lines, words)
        else:
            found.words.append(word)
    return found


def with_url(spelled: SpelledOut, lines: Sequence[OptionLine]) -> SpelledOut:
    """A first word that is the URL of a broker becomes the option for the broker, and the
    topic in the URL becomes the first word.

    Raises:
        ConfigError: the URL is invalid, or the option is there as well.
    """
    broker = next((line for line in lines if line.long == "--broker-address"), None)
    if broker is None or not spelled.words or not has_scheme(spelled.words[0]):
        return spelled
    try:
        url = parse_url(spelled.words[0])
    except ConfigError as error:
        hint = "" if is_url(spelled.words[0]) else " (a topic like this needs -t)"
        raise ConfigError(f"{error}{hint}") from None
    if spelled.has(broker.long):
        raise ConfigError(f"{broker.long} and {spelled.words[0]} both name a broker")
    topic = [] if url.topic is None else [url.topic]
    return SpelledOut(
        [*spelled.options, (broker, url.brokers)],
        topic + spelled.words[1:],
        spelled.rest,
    )


def closest(name: str, lines: Sequence[OptionLine]) -> str:
    """A hint, in parentheses, at the option that ``name``, without dashes, may mean; empty
    if there is none like it."""
    from difflib import get_close_matches  # for errors alone: roles start fast

    keys = [line.key for line in lines]
    meanings = {key: [key] for key in keys}
    for other, meant in _ELSEWHERE.items():
        known = [key for key in meant if key in keys]
        if known:
            meanings.setdefault(other, known)
    near = [name] if name in meanings else get_close_matches(name, meanings, 1)
    near = near or [key for key in keys if name in key.split("-")]
    return f" (did you mean --{meanings[near[0]][0]}?)" if near else ""


def unknown_command(word: str, known: Sequence[str]) -> str:
    """The error for a word that is not one of the commands ``known``, with a hint."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"commands: {', '.join(known)}"
    return f"unknown command {word} ({hint})"


def _is_long(name: str) -> bool:
    return name.startswith("--") or (name.startswith("-") and name[1:] in _SINGLE_DASH)


def _is_number(word: str, lines: Sequence[OptionLine]) -> bool:
    """Whether a word is a negative number. The name of an option, like -0, is not."""
    if any(line.short == word for line in lines):
        return False
    return _NEGATIVE.fullmatch(word) is not None


def _long(name: str, lines: Sequence[OptionLine]) -> OptionLine:
    """The option that a word with dashes means: by its name, another spelling of it, or its
    beginning.

    Raises:
        ConfigError: there is none, or several.
    """
    key = name.lstrip("-").replace("_", "-")
    if not name.startswith("--"):
        key = _SINGLE_DASH[key]
    by_key = {line.key: line for line in lines}
    line = by_key.get(key) or by_key.get(OTHER_NAMES.get(key, ""))
    if line is not None:
        return line
    begun = [line for line in lines if key and line.key.startswith(key)]
    if len(begun) == 1 and key not in _ELSEWHERE:
        return begun[0]
    if len(begun) > 1 and key not in _ELSEWHERE:
        names = ", ".join(line.long for line in begun)
        raise ConfigError(f"{name} is the beginning of several options: {names}")
    raise ConfigError(f"unknown option {name}{closest(key, lines)}")


def _add_shorts(
    found: SpelledOut, word: str, lines: Sequence[OptionLine], words: list[str]
) -> None:
    """One-letter options, the last of which may have its value in the same word."""
    left = word[1:]
    while left:
        short, left = f"-{left[0]}", left[1:]
        line = next((line for line in lines if line.short == short), None)
        if line is None:
            # A long option with one dash, or a letter that other programs have.
            name = word[1:].partition("=")[0]
            hint = closest(short[1:] if len(name) == 1 else name, lines)
            raise ConfigError(
                f"unknown option {short if not hint else '-' + name}{hint}"
            )
        if line.value is None:
            _add(found, line, short, None, words)
        else:
            _add(found, line, short, left or None, words)
            return


def _add(
    found: SpelledOut,
    line: OptionLine,
    spelled: str,
    value: str | None,
    words: list[str],
) -> None:
    """Raises:
    ConfigError: it lacks its value, has an empty one or one that it does not take, or is
        there twice.
    """
    if not line.repeated and found.has(line.long):
        raise ConfigError(f"{line.long} is given more than once")
    if line.value is None:
        if value is not None:
            raise ConfigError(f"{line.long} takes no value")
    elif value is None:
        if not words or words[0] == "--":
            raise ConfigError(f"{spelled} requires a value: {spelled} {line.value}")
        value = words.pop(0)
    if value == "" and line.key not in MAY_BE_EMPTY:
        # Mostly a variable of a shell script without a value.
        raise ConfigError(f"{spelled}: the value is empty")
    found.options.append((line, value))

"""Parses command lines; adds what the environment and the config file say.

The only user of docopt. Flags go before the environment, the environment before the
file of settings, and that before the defaults of the usage text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pubsub_common.cli import usage_text
from pubsub_common.cli.settings import Settings, Source, split_broker_address
from pubsub_common.errors import ConfigError

# The broker that everything here talks to, HOST or HOST:PORT, or several with commas.
BROKER_VARIABLE: Final = "PUBSUB_BROKER"
# The file of settings, unless --config names one.
CONFIG_VARIABLE: Final = "PUBSUB_CONFIG"
# The file of keys, unless --keys names one.
KEYS_VARIABLE: Final = "PUBSUB_KEYS"

# The seed's driver spelled some long options with one dash.
_SINGLE_DASH: Final = {"pub": "publisher", "sub": "subscriber", "bp": "bind-port"}
# It has --topics, and its documentation --topic.
_TOPIC, _TOPICS = "--topic", "--topics"
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
        elif word.startswith("-") and name in _SINGLE_DASH:
            word = "--" + _SINGLE_DASH[name] + equals + value
        out.append(word)
    return out


def parse_command_line(doc: str, argv: Sequence[str], version: str) -> Settings:
    """What the words say. Exits with 0 after ``--help`` and ``--version``.

    Raises:
        ConfigError: they do not fit the usage text.
    """
    from docopt import DocoptExit, docopt

    lines = usage_text.option_lines(doc)
    words = normalise_argv(argv)
    known = {line.long for line in lines}
    if _TOPIC in known and _TOPICS not in known:
        words = _with_topic(words)
    words = usage_text.expand_digit_options(words, lines)
    try:
        settings = Settings(docopt(doc, argv=words, version=version))
    except DocoptExit as error:
        reason = _explain_mismatch(str(error.code), words, doc)
        raise ConfigError(reason) from None
    # docopt does not tell a default from the same value in words. Without defaults in
    # the text, whatever has a value was given one.
    spoken = docopt(usage_text.without_defaults(doc), argv=words)
    said = {
        name: value for name, value in spoken.items() if value not in (None, False, [])
    }
    split_broker_address(said)
    settings.put(said, Source.COMMAND_LINE)
    return settings


def _with_topic(words: Sequence[str]) -> list[str]:
    """``--topics A`` becomes ``--topic A``; what follows ``--`` stays."""
    end = list(words).index("--") if "--" in words else len(words)
    return [
        _TOPIC + word.removeprefix(_TOPICS)
        if i < end and word.partition("=")[0] == _TOPICS
        else word
        for i, word in enumerate(words)
    ]


def clear_environment() -> None:
    """What is set there is not meant for the programs that this one starts."""
    for name in (BROKER_VARIABLE, CONFIG_VARIABLE, KEYS_VARIABLE):
        os.environ.pop(name, None)


def add_environment(settings: Settings, environment: Mapping[str, str]) -> None:
    """Take the broker's address and the file of keys from the environment, for programs
    that have the options. Who names another broker in words does not mean this one's
    port.

    Raises:
        ConfigError: the variable holds something else.
    """
    keys = environment.get(KEYS_VARIABLE)
    if keys and "--keys" in settings:
        settings.put({"--keys": keys}, Source.ENVIRONMENT)
    text = environment.get(BROKER_VARIABLE)
    words = settings.sources.get("--broker-address") == Source.COMMAND_LINE
    if not text or words or "--broker-address" not in settings:
        return
    from pubsub_common.protocol.endpoints import broker_endpoints

    values = {"--broker-address": text}
    try:
        broker_endpoints(text, None)
        split_broker_address(values)
    except ConfigError:
        raise ConfigError(
            f"{BROKER_VARIABLE}: {text!r} is not HOST or HOST:PORT like 10.0.0.1:5555, "
            "or several of these with commas"
        ) from None
    settings.put(values, Source.ENVIRONMENT)


def add_file(
    settings: Settings,
    environment: Mapping[str, str],
    program: str,
    doc: str,
    shared: str,
) -> None:
    """Take settings from the file that is named, if one is; for programs that have
    ``--config``. A port that it names together with a broker is for that one alone.

    Raises:
        ConfigError: it cannot be read, or says what makes no sense.
    """
    if "--config" not in settings:
        return
    path = settings["--config"] or environment.get(CONFIG_VARIABLE)
    if path:
        from pubsub_common.cli import config_file

        lines = usage_text.option_lines(doc), usage_text.option_lines(shared)
        found = config_file.load(path, program, *lines)
        if settings.sources.get("--broker-address", Source.DEFAULT):
            found.pop("--broker-address", None)
        split_broker_address(found)
        settings.put(found, Source.FILE)


def parse_settings(
    doc: str, argv: Sequence[str], program: str, version: str, shared: str
) -> Settings:
    """Options from all sources, by the usage text ``doc``; ``shared`` is the usage text
    of the options that several programs have.

    Raises:
        ConfigError: one of the sources makes no sense; the text says which.
    """
    try:
        settings = parse_command_line(doc, argv, f"{program} {version}")
    except ConfigError as error:
        raise ConfigError(f"{error}; try {program} --help") from None
    if settings.get("--completion") is None:  # which is the same with any settings
        add_environment(settings, os.environ)
        add_file(settings, os.environ, program, doc, shared)
    return settings


def _explain_mismatch(message: str, words: Sequence[str], doc: str) -> str:
    """Docopt's complaint in words for people."""
    import difflib  # not for nothing in every role

    longs = set(_LONG.findall(doc))

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
        found = [(a if a != "None" else b).strip("'") for a, b in pairs]
        # Of `program command WORD` even the command matches nothing without a word.
        if found[:1] != usage_text.pattern(doc).split()[1:2]:
            return _explain_unmatched(found, doc)
    return f"something required is missing: {usage_text.pattern(doc)}"


def _explain_unmatched(found: Sequence[str], doc: str) -> str:
    """What is wrong with words that have no place in the usage text."""
    lines = usage_text.option_lines(doc)
    text = " ".join(found)
    if not text.startswith("-"):
        topics = any(line.long == "--topic" for line in lines)
        return f"unexpected: {text}" + (" (a topic is named by -t)" if topics else "")
    if len(found[0]) == 2 and found[0] not in {line.short for line in lines}:
        return f"unknown option {found[0]}"
    return f"unexpected, repeated or contradictory: {text}"

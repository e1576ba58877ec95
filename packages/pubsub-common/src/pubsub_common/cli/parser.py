"""Parses command lines, and adds the options of the environment and the config file.

The only user of docopt. The command line overrides a context, a context the environment, the
environment the config file, and the config file the defaults of the usage text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pubsub_common.cli import effects, usage_text, words
from pubsub_common.cli.settings import Settings, Source, split_broker_address
from pubsub_common.errors import ConfigError

# The broker of all programs, as for -b.
BROKER_VARIABLE: Final = "PUBSUB_BROKER"
# The config file, unless --config names one.
CONFIG_VARIABLE: Final = "PUBSUB_CONFIG"
# The key file, unless --keys names one.
KEYS_VARIABLE: Final = "PUBSUB_KEYS"

# The options that words without dashes stand for, by their names in the usage text.
_STANDS_FOR: Final = {
    "TOPIC": "--topic",
    "PAYLOAD": "--literal",
    "BROKER": "--broker-address",
}
# Marks words that begin with a dash and are not options. No word contains it.
_MARK: Final = "\0"


def parse_command_line(
    doc: str, argv: Sequence[str], program: str, version: str
) -> Settings:
    """The options in the words. Exits with 0 after ``--help``, ``--version`` and ``--man``.

    Raises:
        ConfigError: they do not fit the usage text.
    """
    from docopt import DocoptExit, docopt

    lines = usage_text.option_lines(doc)
    spelled = words.with_url(words.spell_out(argv, lines), lines)
    about = _about(spelled, doc, program, version)
    if about is not None:
        sys.stdout.write(about + "\n")
        raise SystemExit(0)
    patterns = usage_text.for_docopt(doc, lines)
    try:
        found = docopt(patterns, _for_docopt(spelled, doc), default_help=False)
    except DocoptExit as error:
        missing = _missing_words(spelled, doc)
        explained = missing or _explain_mismatch(str(error.code), doc)
        raise ConfigError(explained) from None
    settings = Settings(found)
    said: dict[str, Any] = {}
    for line, _ in spelled.options:
        # docopt may have the last value of a repeated option twice.
        said[line.long] = (
            [value for each, value in spelled.options if each.long == line.long]
            if line.repeated
            else settings[line.long]
        )
    for name, value in settings.items():
        if not name.startswith("-"):
            settings[name] = _unmarked(value)
    _move_words(settings, said, ["BROKER"])
    split_broker_address(said)
    _move_words(settings, said, ["TOPIC", "PAYLOAD"])
    settings.put(said, Source.COMMAND_LINE)
    return settings


def _about(
    spelled: words.SpelledOut, doc: str, program: str, version: str
) -> str | None:
    """The text about the program that is asked for; None: none is."""
    if spelled.has("--help"):
        return doc.strip("\n")
    if spelled.has("--version"):
        return f"{program} {version}"
    if spelled.has("--man"):
        from pubsub_common.cli.man_page import man_page

        return man_page(program, doc, version)
    return None


def _for_docopt(spelled: words.SpelledOut, doc: str) -> list[str]:
    out = [
        line.long if value is None else f"{line.long}={value}"
        for line, value in spelled.options
    ]
    out += map(_marked, spelled.words)
    if spelled.rest is None:
        return out
    if " -- " in usage_text.pattern(doc):
        return [*out, "--", *spelled.rest]
    return out + list(map(_marked, spelled.rest))


def _marked(word: str) -> str:
    return _MARK + word if word.startswith("-") else word


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    return value.removeprefix(_MARK) if isinstance(value, str) else value


def _move_words(settings: Settings, said: dict[str, Any], names: Sequence[str]) -> None:
    """Words without dashes, by their names in the usage text, become values of the options
    that they stand for.

    Raises:
        ConfigError: the option is also given, and the values contradict each other.
    """
    for name in names:
        option = _STANDS_FOR[name]
        if name not in settings or option not in settings:
            continue
        value = settings.pop(name)
        if not value:
            continue
        if option not in said:
            said[option] = (
                [value] if name == "TOPIC" and isinstance(value, str) else value
            )
        elif isinstance(value, list):
            said[option] = said[option] + value
        elif name == "TOPIC":
            raise ConfigError(
                f"unexpected: {value} (the topic is named already; -l TEXT publishes a "
                "text)"
            )
        else:
            raise ConfigError(f"{option} and {value} both name a broker")


def clear_environment() -> None:
    """Remove the variables: they are not for the programs that this one starts."""
    for name in (BROKER_VARIABLE, CONFIG_VARIABLE, KEYS_VARIABLE):
        os.environ.pop(name, None)


def add_environment(settings: Settings, environment: Mapping[str, str]) -> None:
    """Take the broker and the key file from the environment, for programs with these options.
    A broker from a stronger source does not get the port of this one.

    Raises:
        ConfigError: the variable does not name a broker.
    """
    keys = environment.get(KEYS_VARIABLE)
    if keys and "--keys" in settings:
        settings.put({"--keys": keys}, Source.ENVIRONMENT)
    text = environment.get(BROKER_VARIABLE)
    source = settings.sources.get("--broker-address", Source.DEFAULT)
    named = source > Source.ENVIRONMENT
    if not text or named or "--broker-address" not in settings:
        return
    from pubsub_common.protocol.endpoints import broker_endpoints

    values = {"--broker-address": text}
    try:
        broker_endpoints(text, None)
        split_broker_address(values)
    except ConfigError:
        raise ConfigError(
            f"{BROKER_VARIABLE}: {text!r} is not HOST or HOST:PORT like 10.0.0.1:5555, "
            "several of these with commas, or pubsub://HOST:PORT/TOPIC"
        ) from None
    settings.put(values, Source.ENVIRONMENT)


def add_context(
    settings: Settings, environment: Mapping[str, str], doc: str, shared: str
) -> None:
    """Take options from the context that ``--context`` names, in the config file.

    Raises:
        ConfigError: there is no such file or context, or it has invalid options.
    """
    context = settings.get("--context")
    if not context:
        return
    path = _config_path(settings, environment)
    if not path:
        raise ConfigError(
            f"--context {context} needs a config file: --config FILE, or {CONFIG_VARIABLE}"
        )
    from pubsub_common.cli import config_file

    lines = usage_text.option_lines(doc), usage_text.option_lines(shared)
    found = config_file.load_context(path, context, *lines)
    _put_table(settings, found, Source.CONTEXT)


def add_file(
    settings: Settings,
    environment: Mapping[str, str],
    program: str,
    doc: str,
    shared: str,
) -> None:
    """Take options from the config file, if there is one, for programs that have
    ``--config``. A port that a table names together with a broker is for that broker alone.

    Raises:
        ConfigError: the file cannot be read, or has invalid options.
    """
    path = _config_path(settings, environment)
    if path:
        from pubsub_common.cli import config_file

        lines = usage_text.option_lines(doc), usage_text.option_lines(shared)
        found = config_file.load(path, program, *lines)
        _put_table(settings, found, Source.FILE)


def _config_path(settings: Settings, environment: Mapping[str, str]) -> str | None:
    if "--config" not in settings:
        return None
    return settings["--config"] or environment.get(CONFIG_VARIABLE)


def _put_table(settings: Settings, found: dict[str, Any], source: Source) -> None:
    if settings.sources.get("--broker-address", Source.DEFAULT) > source:
        found.pop("--broker-address", None)
    split_broker_address(found)
    settings.put(found, source)


def parse_settings(
    doc: str, argv: Sequence[str], program: str, version: str, shared: str
) -> Settings:
    """Options from all sources, by the usage text ``doc``; ``shared`` is the usage text
    of the options that several programs have.

    Raises:
        ConfigError: a source is invalid; the text names it.
    """
    try:
        settings = parse_command_line(doc, argv, program, version)
    except ConfigError as error:
        raise ConfigError(f"{error}; try {program} --help") from None
    if settings.get("--completion") is None:  # its output depends on no option
        add_context(settings, os.environ, doc, shared)
        add_environment(settings, os.environ)
        add_file(settings, os.environ, program, doc, shared)
        effects.check(settings, usage_text.option_lines(doc))
    return settings


def _missing_words(spelled: words.SpelledOut, doc: str) -> str | None:
    """Names the words that a command line lacks; None: it lacks none, or the usage text has
    more than words in a fixed order."""
    pattern = usage_text.pattern(doc)
    needed = re.sub(r"\[[^]]*\](?:\.\.\.)?", "", pattern).split()[1:]
    if not all(re.fullmatch(r"\w[\w-]*", word) for word in needed):
        return None
    missing = needed[len(spelled.words) + len(spelled.rest or ()) :]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} missing: {pattern}"


# Options in a usage pattern, of which one is required.
_CHOICE: Final = r"\((--[\w-]+(?: \| --[\w-]+)+)\)"


def _explain_mismatch(message: str, doc: str) -> str:
    """The error of docopt, reworded for people."""
    first = message.partition("\n")[0]
    if first.startswith("Warning: found unmatched"):
        pairs = re.findall(
            r"(?:Option|Argument)\(('[^']*'|None), ('[^']*'|None)", first
        )
        found = [(a if a != "None" else b).strip("'") for a, b in pairs]
        # Of `program command WORD` even the command matches nothing without a word, nor do
        # the options after it.
        command = usage_text.pattern(doc).split()[1:2]
        if command and command[0] in found:
            for choice in re.findall(_CHOICE, usage_text.pattern(doc)):
                if not set(choice.split(" | ")) & set(found):
                    named = choice.replace(" | ", " or ")
                    return f"{named} is missing: {usage_text.pattern(doc)}"
        if [word for word in found if not word.startswith("--")] != command:
            text = " ".join(found)
            if text.startswith("-"):
                return f"unexpected, repeated or contradictory: {text}"
            return f"unexpected: {text}; expected: {usage_text.pattern(doc)}"
    return f"something required is missing: {usage_text.pattern(doc)}"

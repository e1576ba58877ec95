"""Reads and writes options in a TOML file.

Each program has a table: `[publisher]`, `[subscriber]`, `[broker]` and `[driver]`. The table
`[common]` has the options that several programs share, and each program takes those that it
has. The option ``--context NAME`` adds the table `[context.NAME]`, for one of several networks,
say. Keys are long option names::

    [common]
    broker-address = "10.0.0.1"

    [publisher]
    topic = ["weather"]
    overflow = "block"

    [context.lab]
    broker-address = "lab.example"
    keys = "lab.keys"
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pubsub_common.cli.settings import (
    SOURCE_NAMES,
    Settings,
    Source,
    split_broker_address,
)
from pubsub_common.cli.usage_text import NUMBERS, WHOLE_NUMBERS, OptionLine
from pubsub_common.cli.words import MAY_BE_EMPTY, OTHER_NAMES, closest
from pubsub_common.errors import ConfigError

COMMON: Final = "common"
CONTEXT: Final = "context"
TABLES: Final = (COMMON, "broker", "publisher", "subscriber", "driver", CONTEXT)
_UNUSUAL: Final = re.compile(r"[^ -~]")
# These are about one call of a program, so a file cannot have them.
_NOT_SETTINGS: Final = frozenset(
    {"config", "context", "print-config", "completion", "man", "help", "version"}
)


def table_of(program: str) -> str:
    """The table of a program. ``pubsub-broker status`` has the table of the broker."""
    return program.partition(" ")[0].removeprefix("pubsub-")


def load(
    path: str,
    program: str,
    lines: Sequence[OptionLine],
    shared: Sequence[OptionLine] | None,
) -> dict[str, Any]:
    """The options of ``program`` in the file at ``path``, as docopt would give them: those of
    its own table, and those of the table ``[common]``, which may have the options ``shared``.
    Without ``shared``, only its own table counts. A broker with HOST:PORT overrides a
    ``broker-port``.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has invalid options.
    """
    document = _read(path)
    own = table_of(program)
    # A command like `status` takes the options of the broker's table that it has.
    required = " " not in program
    tables = [_Table(own, document.get(own, {}), lines, required)]
    if shared is not None:
        tables.insert(0, _Table(COMMON, document.get(COMMON, {}), shared))
    found = _found(path, tables, lines)
    defaults = {line.long: _default(line) for line in lines}
    # A default in a file asks for nothing: so the output of --print-config, as a file,
    # changes nothing.
    return {name: value for name, value in found.items() if value != defaults[name]}


def load_context(
    path: str, name: str, lines: Sequence[OptionLine], shared: Sequence[OptionLine]
) -> dict[str, Any]:
    """The options in the table ``[context.NAME]`` of the file at ``path``, as docopt would
    give them. It may have the options ``shared``; a program takes those that it has. A default
    overrides what the other tables say.

    Raises:
        ConfigError: the file cannot be read, has no such context, or has invalid options.
    """
    contexts = _read(path).get(CONTEXT, {})
    if not isinstance(contexts.get(name), dict):
        known = ", ".join(contexts) or "none"
        raise ConfigError(f"{path} has no context {name!r}; it has {known}")
    table = _Table(f"{CONTEXT}.{name}", contexts[name], shared)
    return _found(path, [table], lines)


class _Table(NamedTuple):
    """A table of the file, and the options that it may have. ``complete``: other keys are
    errors."""

    name: str
    content: Mapping[str, Any]
    known: Sequence[OptionLine]
    complete: bool = True


def _found(
    path: str, tables: Sequence[_Table], lines: Sequence[OptionLine]
) -> dict[str, Any]:
    found = {}
    for table in tables:
        for key, value in table.content.items():
            name = key.replace("_", "-")
            line = _line(table.known, name)
            if line is None and table.complete:
                hint = _hint(table.known, name)
                raise ConfigError(
                    f"{path}: unknown key {key!r} in [{table.name}]{hint}"
                )
            if line is not None:
                converted = _as_arguments(
                    line, value, f"{path}: {key} in [{table.name}]"
                )
                if _line(lines, name) is not None:
                    found[line.long] = converted
    _check_broker(found, path)
    return found


def _read(path: str) -> Mapping[str, Any]:
    """The tables of the file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has something else than tables.
    """
    from pubsub_common.files import read_file
    from pubsub_common.text import bounded_toml

    try:
        document = bounded_toml.parse(read_file(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except bounded_toml.TomlError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for name, content in document.items():
        if name not in TABLES:
            raise ConfigError(
                f"{path}: {name!r} is not a table of settings; these are {', '.join(TABLES)}"
            )
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name!r} is not in a table like [{COMMON}]")
    return document


def _check_broker(found: dict[str, Any], path: str) -> None:
    """Raises:
    ConfigError: the broker's address is invalid.
    """
    text = found.get("--broker-address", "")
    if ":" in text or "," in text:
        try:
            split_broker_address(dict(found))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        if "," not in text:
            found.pop("--broker-port", None)


def _line(lines: Sequence[OptionLine], key: str) -> OptionLine | None:
    if key in _NOT_SETTINGS:
        return None
    by_key = {line.key: line for line in lines}
    return by_key.get(key) or by_key.get(OTHER_NAMES.get(key, ""))


def _hint(lines: Sequence[OptionLine], key: str) -> str:
    known = [line for line in lines if line.key not in _NOT_SETTINGS]
    return closest(key, known).replace("--", "")


def _as_arguments(line: OptionLine, value: Any, where: str) -> Any:
    """A value from the file as docopt would return it.

    Raises:
        ConfigError: it has the wrong type.
    """
    if line.value is None:
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: true or false is needed, not {value!r}")
        return value
    if line.key == "broker-address" and isinstance(value, list):
        return ",".join(_as_argument(line, item, where) for item in value)
    if not line.repeated:
        return _as_argument(line, value, where)
    values = value if isinstance(value, list) else [value]
    return [_as_argument(line, item, where) for item in values]


def _as_argument(line: OptionLine, value: Any, where: str) -> str:
    kind = line.value
    if kind in WHOLE_NUMBERS:
        fits, what = isinstance(value, int), "a whole number"
    elif kind in NUMBERS:
        fits, what = isinstance(value, int | float), "a number"
        value = float(value) if fits else value
    else:
        fits, what = isinstance(value, str), "text"
    if not fits or isinstance(value, bool):
        raise ConfigError(f"{where}: {what} is needed, not {value!r}")
    if value == "" and line.key not in MAY_BE_EMPTY:
        raise ConfigError(f"{where}: the value is empty")
    return str(value)


def show(settings: Settings, program: str, lines: Sequence[OptionLine]) -> str:
    """The options as a config file, each with the source of its value.

    Raises:
        ConfigError: a value has the wrong type.
    """
    out = [f"[{table_of(program)}]"]
    for line in lines:
        value = settings[line.long]
        if line.key in _NOT_SETTINGS or value is None or value == []:
            continue
        source = SOURCE_NAMES[settings.sources.get(line.long, Source.DEFAULT)]
        out.append(f"{line.key} = {_toml(line, value)}  # {source}")
    return "\n".join(out)


def _default(line: OptionLine) -> Any:
    """A default as `_as_arguments` would return it."""
    if line.repeated:
        return []
    if line.value is None:
        return False
    if line.default is not None and line.value in NUMBERS:
        return str(float(line.default))
    return line.default


def _toml(line: OptionLine, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(line, item) for item in value) + "]"
    try:
        if line.value in WHOLE_NUMBERS:
            return str(int(value))
        if line.value in NUMBERS:
            return str(float(value))
    except ValueError:
        raise ConfigError(f"{line.long}: {value!r} is not a number") from None
    return _quoted(line, value)


def _quoted(line: OptionLine, text: str) -> str:
    """A basic string of TOML: like a JSON string, except for escapes of more than 16 bits."""
    import json

    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{line.long}: TOML needs text in UTF-8") from None
    return _UNUSUAL.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    """Escape a character that could control a terminal."""
    char = found[0]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"

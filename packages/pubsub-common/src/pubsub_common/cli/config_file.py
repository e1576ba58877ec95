"""Reads and writes options in a TOML file.

One table for each program, `[publisher]`, `[subscriber]`, `[broker]` and `[driver]`, and
`[common]` for the options that several programs have, each of which takes what it knows.
Keys are long option names::

    [common]
    broker-address = "10.0.0.1"

    [publisher]
    topic = ["weather"]
    overflow = "block"
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pubsub_common.cli.settings import (
    SOURCE_NAMES,
    Settings,
    Source,
    split_broker_address,
)
from pubsub_common.cli.usage_text import NUMBERS, WHOLE_NUMBERS, OptionLine
from pubsub_common.cli.words import OTHER_NAMES, closest
from pubsub_common.errors import ConfigError

COMMON: Final = "common"
TABLES: Final = (COMMON, "broker", "publisher", "subscriber", "driver")
_UNUSUAL: Final = re.compile(r"[^ -~]")
# About one call of a program, and not settings of it.
_NOT_SETTINGS: Final = frozenset(
    {"config", "print-config", "completion", "help", "version"}
)


def table_of(program: str) -> str:
    """The table of a program: that of ``pubsub-broker status`` is the broker's."""
    return program.partition(" ")[0].removeprefix("pubsub-")


def load(
    path: str,
    program: str,
    lines: Sequence[OptionLine],
    shared: Sequence[OptionLine] | None,
) -> dict[str, Any]:
    """What the file at ``path`` says for ``program``, as docopt would give it. Without
    ``shared``, only what it says for this program alone. A broker that is named by
    HOST:PORT is left so, without a ``--broker-port`` besides.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has settings that make no sense.
    """
    document = _read(path)
    for name, content in document.items():
        if name not in TABLES:
            raise ConfigError(
                f"{path}: {name!r} is not a table of settings; these are {', '.join(TABLES)}"
            )
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name!r} is not in a table like [{COMMON}]")
    own = table_of(program)
    # `status` takes what it knows of the broker's table.
    partial = " " in program
    found = {}
    tables = [(own, lines, not partial)]
    if shared is not None:
        tables.insert(0, (COMMON, shared, True))
    for table, known, required in tables:
        for key, value in document.get(table, {}).items():
            name = key.replace("_", "-")
            line = _line(known, name)
            if line is None and required:
                hint = _hint(known, name)
                raise ConfigError(f"{path}: unknown key {key!r} in [{table}]{hint}")
            if line is not None:
                converted = _as_arguments(line, value, f"{path}: {key} in [{table}]")
                if _line(lines, name) is not None:
                    found[line.long] = converted
    _check_broker(found, path)
    defaults = {line.long: _default(line) for line in lines}
    # Who writes a default down has not asked for anything: so the output of
    # --print-config, taken as a file, changes nothing.
    return {name: value for name, value in found.items() if value != defaults[name]}


def _read(path: str) -> Mapping[str, Any]:
    from pubsub_common import bounded_toml
    from pubsub_common.files import read_file

    try:
        return bounded_toml.parse(read_file(path))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except bounded_toml.TomlError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _check_broker(found: dict[str, Any], path: str) -> None:
    """Raises:
    ConfigError: what names the broker makes no sense.
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
    """A value from the file as docopt would give it.

    Raises:
        ConfigError: it is of another type than the option's.
    """
    if line.value is None:
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: true or false is needed, not {value!r}")
        return value
    if line.key == "broker-address" and isinstance(value, list):
        return ",".join(_as_argument(line.value, item, where) for item in value)
    if not line.repeated:
        return _as_argument(line.value, value, where)
    values = value if isinstance(value, list) else [value]
    return [_as_argument(line.value, item, where) for item in values]


def _as_argument(kind: str, value: Any, where: str) -> str:
    if kind in WHOLE_NUMBERS:
        fits, what = isinstance(value, int), "a whole number"
    elif kind in NUMBERS:
        fits, what = isinstance(value, int | float), "a number"
        value = float(value) if fits else value
    else:
        fits, what = isinstance(value, str), "text"
    if not fits or isinstance(value, bool):
        raise ConfigError(f"{where}: {what} is needed, not {value!r}")
    return str(value)


def show(settings: Settings, program: str, lines: Sequence[OptionLine]) -> str:
    """The settings as a file that says the same, with where each comes from.

    Raises:
        ConfigError: a value is not of its option's type.
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
    """A default as `_as_arguments` would give it."""
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
    """TOML's basic strings are JSON's, but for escapes of more than 16 bits."""
    import json

    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{line.long}: TOML cannot hold what is not UTF-8") from None
    return _UNUSUAL.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    """What could control a terminal is an escape: this is shown to people."""
    char = found[0]
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"

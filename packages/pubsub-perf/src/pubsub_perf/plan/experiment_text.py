"""Experiments as text: TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pubsub_common.errors import ConfigError
from pubsub_common.text import bounded_toml
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.experiment_table import experiment_of


def parse_table(text: str) -> dict[str, object]:
    """The table that a text of TOML is.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        return bounded_toml.parse(text.encode())
    except bounded_toml.TomlError as error:
        raise ConfigError(f"not TOML: {error}") from None


def parse_experiment(text: str) -> Experiment:
    """The experiment that a text of TOML says.

    Raises:
        ConfigError: it is not TOML, or says what makes no sense.
    """
    return experiment_of(parse_table(text), text)


def table_text(table: Mapping[str, object]) -> str:
    """A table of an experiment as TOML: its values, then its ``[parameters]`` and
    ``[[cases]]``."""
    lines = [
        f"{key} = {_value(value)}"
        for key, value in table.items()
        if key not in ("parameters", "cases")
    ]
    parameters = table.get("parameters")
    if isinstance(parameters, Mapping):
        lines += ["", "[parameters]", *_pairs(parameters)]
    cases = table.get("cases")
    for case in cases if isinstance(cases, list) else ():
        lines += ["", "[[cases]]", *_pairs(case)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _pairs(table: Mapping[str, object]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in table.items()]


def _value(value: object) -> str:
    # What JSON has for texts, numbers, booleans and lists, TOML has as well, but for a
    # character that no name has.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

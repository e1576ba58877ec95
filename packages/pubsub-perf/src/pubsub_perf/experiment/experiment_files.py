"""Reads experiments from users' files and from presets."""

from __future__ import annotations

import difflib
import importlib.resources
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.files import NotReadable, read_file
from pubsub_perf.plan.experiment import Experiment
from pubsub_perf.plan.experiment_text import parse_experiment

_SUFFIX: Final = ".toml"
# A thousand explicit cases need a hundredth of this.
_MAX_BYTES: Final = 4 * 2**20


def preset_names() -> list[str]:
    """The presets, by name."""
    folder = importlib.resources.files("pubsub_perf") / "presets"
    return sorted(
        each.name.removesuffix(_SUFFIX)
        for each in folder.iterdir()
        if each.name.endswith(_SUFFIX)
    )


def preset_text(name: str) -> str:
    """The text of a preset.

    Raises:
        ConfigError: the preset does not exist.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError(f"no preset {name!r}: choose from {', '.join(names)}")
    folder = importlib.resources.files("pubsub_perf") / "presets"
    return (folder / f"{name}{_SUFFIX}").read_text("utf-8")


def experiment_text(name: str) -> str:
    """The text of the experiment in the file ``name``, or of the preset ``name``.

    Raises:
        ConfigError: there is neither, or the file cannot be read.
    """
    names = preset_names()
    path = Path(name)
    if name in names and not path.is_file():
        return preset_text(name)
    try:
        return read_file(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean the preset {near[0]}?" if near else ""
        raise ConfigError(
            f"no experiment {name}: neither a file nor one of the presets "
            f"{', '.join(names)}{hint}"
        ) from None
    except NotReadable as error:
        raise ConfigError(f"cannot read {name}: {error.reason}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name} is not UTF-8") from None


def parsed(text: str, name: str) -> Experiment:
    """The experiment in ``text``, which is from the file ``name``.

    Raises:
        ConfigError: the text is not a valid experiment.
    """
    try:
        return parse_experiment(text)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None

"""The copy of an experiment beside its results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_common.files import write_atomically
from pubsub_perf.experiment.sweep import DATA, finished_cells
from pubsub_perf.folder_files import make_folder
from pubsub_perf.hosts.factory import HostKind
from pubsub_perf.plan.cases import MODELS
from pubsub_perf.plan.experiment import Experiment

NAME: Final = "experiment.toml"
_Axes = tuple[str, ...]


def keep_copy(
    experiment: Experiment, out: Path, kind: HostKind | None, *, force: bool
) -> None:
    """Write the experiment into ``out``, before the first cell. ``kind`` is None while it is
    unknown. With ``force`` finished cells may have other parameters.

    Raises:
        ConfigError: the cells in ``out`` differ in other parameters, finished cells have
            other parameters, or ``out`` cannot be written.
    """
    asked = {axes_of(case.scenario) for case in experiment.cases}
    for name, axes in _there(out):
        if axes not in asked:
            ours = " or ".join(sorted(", ".join(each) or "nothing" for each in asked))
            raise ConfigError(
                f"{out / DATA / name} is of another experiment: its cells differ in "
                f"{', '.join(axes) or 'nothing'}, those asked for in {ours}; choose another "
                "--out"
            )
    if not force:
        finished_cells(experiment.cases, out, kind)  # or an error
    try:
        make_folder(out)
        write_atomically(out / NAME, experiment.text.encode(), follow_link=False)
    except OSError as error:
        raise ConfigError(
            f"cannot write {out / NAME}: {error.strerror or error}"
        ) from error


def _there(out: Path) -> Iterable[tuple[str, _Axes]]:
    """The folders of results in ``out``, and the parameters in their names."""
    data = out / DATA
    if not data.is_dir():
        return
    for folder in sorted(data.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            yield folder.name, () if folder.name in MODELS else axes_of(folder.name)


def axes_of(scenario: str) -> _Axes:
    """The names of the parameters in the name of a scenario."""
    return tuple(part.partition("=")[0] for part in scenario.split(",") if part)

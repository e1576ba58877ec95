"""Runs an experiment, whatever said what it is: a file, or options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.net.open_files import check_open_files
from pubsub_perf import units
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.experiment import one_sweep
from pubsub_perf.plan import blocks
from pubsub_perf.plan.experiment import Experiment

if TYPE_CHECKING:
    from pubsub_perf.experiment.progress import SweepProgress
    from pubsub_perf.experiment.sweep import Result
    from pubsub_perf.hosts import factory

# What a broker opens, and for the clients of each host.
_FILES: Final = 52
_HOST_FILES: Final = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How an experiment is run: into the folder ``out``, on ``hosts`` of a kind, one ``part``
    like ``3/8`` of it if that is given; with ``force`` also the cells that are finished.
    ``slurm``: on a cluster, with the further options ``sbatch`` of that command."""

    out: Path
    hosts: str
    part: str | None = None
    force: bool = False
    verbose: bool = False
    slurm: bool = False
    sbatch: str | None = None


def print_text(text: str) -> None:
    """Print the text of an experiment."""
    for line in text.splitlines():
        console_script.print_line(line)


def show(experiment: Experiment, out: Path) -> int:
    """Print the cells and how long those will take that are not in ``out``; the exit code."""
    from rich.console import Console

    from pubsub_perf.experiment.plan_table import print_plan

    print_plan(Console(), experiment, out)
    return console_script.EXIT_OK


def run(experiment: Experiment, way: Way, words: Sequence[str]) -> int:
    """Run an experiment; the exit code. ``words`` are those of the command, which may have to
    be run again within namespaces of its own.

    Raises:
        PubSubError: a cell failed or breaks a threshold, or the experiment cannot run here.
        ConfigError: another sweep is running on this machine.
    """
    if way.part is not None:
        experiment = _part_of(experiment, blocks.Part.parse(way.part))
    if way.slurm or way.sbatch is not None:
        return _run_on_slurm(experiment, way)
    with one_sweep.alone():
        clear_environment()
        console_script.set_up_logging(PROGRAM, verbose=way.verbose)
        return _run_alone(experiment, way, words)


def _part_of(experiment: Experiment, part: blocks.Part) -> Experiment:
    whole = blocks.blocks_of(experiment.cases)
    if part.parts > len(whole):
        raise ConfigError(
            f"a sweep of {len(whole)} networks and runs has at most {len(whole)} parts: "
            f"{part}"
        )
    cases = tuple(blocks.cases_of(part.of(whole)))
    return dataclasses.replace(experiment, cases=cases)


def _run_alone(experiment: Experiment, way: Way, words: Sequence[str]) -> int:
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.hosts import etcd_program, factory, namespaces

    cases = experiment.cases
    several = any(case.load.brokers > 1 for case in cases)
    if several and (missing := etcd_program.unavailable()):
        raise ConfigError(missing)
    hosts = max(len(case.network.nodes) for case in cases)
    check_open_files(f"a sweep of {hosts} hosts", _FILES + _HOST_FILES * hosts)
    kind, why = factory.choose(way.hosts)
    if why is not None:
        console_script.print_message(
            PROGRAM, f"Mininet cannot run here ({why}); using local hosts"
        )
    if kind == "mininet":
        namespaces.enter(["-m", "pubsub_perf", *words])
    elif experiment.optional:
        left_out = ", ".join(experiment.optional)
        console_script.print_message(
            PROGRAM, f"local hosts have no links: measured without {left_out}"
        )
        experiment = experiment.without_links()
        cases = experiment.cases
    interrupts.install()
    for load in dict.fromkeys(case.load for case in cases):
        factory.check_network(kind, load)
    for missing in factory.missing_features(kind):
        console_script.print_message(PROGRAM, missing)
    return _run_on(kind, experiment, way)


def _run_on(kind: factory.HostKind, experiment: Experiment, way: Way) -> int:
    from pubsub_perf.experiment.experiment_copy import keep_copy
    from pubsub_perf.experiment.sweep import run_sweep

    keep_copy(experiment, way.out)
    return _show_and_judge(
        experiment,
        way.out,
        lambda progress: run_sweep(
            experiment.cases, kind, way.out, progress, force=way.force
        ),
    )


def _run_on_slurm(experiment: Experiment, way: Way) -> int:
    """Run an experiment on a cluster; nothing is measured on this machine."""
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.experiment.experiment_copy import keep_copy
    from pubsub_perf.experiment.slurm.array import run_array
    from pubsub_perf.experiment.slurm.submission import wish_of

    if way.part is not None:
        raise ConfigError("--part is what each task of --slurm has: give one of them")
    interrupts.install()
    wish = wish_of(
        experiment, way.hosts, way.out, words=way.sbatch or "", force=way.force
    )
    keep_copy(experiment, way.out)
    return _show_and_judge(
        experiment,
        way.out,
        lambda progress: run_array(
            wish, progress, lambda text: console_script.print_message(PROGRAM, text)
        ),
    )


def _show_and_judge(
    experiment: Experiment,
    out: Path,
    results_of: Callable[[SweepProgress], Sequence[Result]],
) -> int:
    """Run with a display of the progress, and show the results; the exit code.

    Raises:
        PubSubError: a cell failed or breaks a threshold.
    """
    from rich.console import Console

    from pubsub_perf.experiment.progress import SweepProgress, print_table
    from pubsub_perf.experiment.threshold_check import broken_thresholds

    console = Console()
    with SweepProgress(experiment.cases, console) as progress:
        results = results_of(progress)
    print_table(console, results, out)
    broken = broken_thresholds(experiment, out)
    for line in broken:
        console_script.print_message(PROGRAM, line, "ERROR")
    failed = sum(result.failed for result in results)
    if failed:
        raise PubSubError(f"{failed} of {len(results)} cells failed")
    if broken:
        raise PubSubError(
            f"{units.counted(len(broken), 'threshold is', 'thresholds are')} broken"
        )
    return console_script.EXIT_OK

"""Runs an experiment from a file or from options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.text.counted import counted
from pubsub_perf.commands.machine_options import Machines
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.experiment import one_sweep
from pubsub_perf.plan import blocks
from pubsub_perf.plan.experiment import Experiment

if TYPE_CHECKING:
    from pubsub_perf.experiment.progress import SweepProgress
    from pubsub_perf.experiment.sweep import Result
    from pubsub_perf.hosts import factory


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """How an experiment is run: the folder ``out`` for results, the kind of ``hosts``, and the
    ``part`` like ``3/8``, if only one is run. ``force`` runs finished cells again. ``slurm``
    runs on a cluster, with additional options ``sbatch`` for that command. ``machines`` are
    other machines that run the experiment."""

    out: Path
    hosts: str
    part: str | None = None
    force: bool = False
    verbose: bool = False
    slurm: bool = False
    sbatch: str | None = None
    machines: Machines | None = None


def print_text(text: str) -> None:
    """Print the text of an experiment."""
    for line in text.splitlines():
        console_script.print_line(line)


def run_as_asked(
    experiment: Experiment,
    out: Path,
    hosts: str,
    options: console_script.Options,
    words: Sequence[str],
) -> int:
    """Run an experiment, or show its cells, by the options that `run` and `sweep` share;
    returns the exit code. ``words`` are the words of the command.

    Raises:
        PubSubError: a cell failed or broke a threshold, or the experiment cannot run here.
        ConfigError: the options make no sense, or another sweep is running on this machine.
    """
    way = Way(
        out,
        hosts,
        part=options["--part"],
        force=options["--force"],
        verbose=options["--verbose"],
        slurm=options["--slurm"],
        sbatch=options["--sbatch"],
        machines=Machines.of(options),
    )
    if options["--dry-run"]:
        return _show(experiment, way)
    return _run(experiment, way, words)


def _show(experiment: Experiment, way: Way) -> int:
    """Print the cells, of one part if that is given, and how long the unfinished ones will
    take; the exit code.

    Raises:
        ConfigError: the part does not exist, or this machine would refuse the run.
    """
    from rich.console import Console

    from pubsub_perf.experiment.plan_table import print_plan

    if way.part is not None:
        experiment = _part_of(experiment, blocks.Part.parse(way.part))
    print_plan(Console(), experiment, way.out)
    if way.machines is None and not way.slurm and way.sbatch is None:
        _check_local_links(experiment, way.hosts)
    return console_script.EXIT_OK


def _check_local_links(experiment: Experiment, asked: str) -> None:
    """Refuse what local hosts lack, where a run here would use them. What Mininet lacks is
    known only within the namespaces of a run.

    Raises:
        ConfigError: the experiment needs links or switches, or Mininet cannot run here.
    """
    from pubsub_perf.hosts import factory

    kind, _ = factory.choose(asked)
    if kind == "local":
        for case in experiment.without_links().cases:
            factory.check_network(kind, case.load)


def _run(experiment: Experiment, way: Way, words: Sequence[str]) -> int:
    """Run an experiment; returns the exit code. ``words`` are the words of the command, which
    is run again inside private namespaces where it needs them.

    Raises:
        PubSubError: a cell failed or broke a threshold, or the experiment cannot run here.
        ConfigError: another sweep is running on this machine.
    """
    if way.part is not None:
        experiment = _part_of(experiment, blocks.Part.parse(way.part))
    if way.machines is not None:
        console_script.set_up_logging(PROGRAM, verbose=way.verbose)
        return _run_on_machines(experiment, way, way.machines)
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
            f"no part {part}: a sweep of {len(whole)} networks and runs has at most "
            f"{len(whole)} parts"
        )
    cases = tuple(blocks.cases_of(part.of(whole)))
    return dataclasses.replace(experiment, cases=cases)


def _run_alone(experiment: Experiment, way: Way, words: Sequence[str]) -> int:
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.experiment.machine_check import check_networks, check_programs
    from pubsub_perf.hosts import factory, namespaces

    cases = experiment.cases
    loads = [case.load for case in cases]
    check_programs(loads, max(len(case.network.nodes) for case in cases))
    kind, why = factory.choose(way.hosts)
    if why is not None:
        console_script.print_message(
            PROGRAM, f"Mininet cannot run here ({why}); using local hosts"
        )
    if kind == "mininet":
        namespaces.enter(["-m", "pubsub_perf", *words])
    else:
        experiment = _without_links(experiment)
        loads = [case.load for case in experiment.cases]
    interrupts.install()
    for missing in check_networks(kind, loads):
        console_script.print_message(PROGRAM, missing)
    return _run_on(kind, experiment, way)


def _run_on(kind: factory.HostKind, experiment: Experiment, way: Way) -> int:
    from pubsub_perf.experiment.experiment_copy import keep_copy
    from pubsub_perf.experiment.sweep import run_sweep

    keep_copy(experiment, way.out, kind, force=way.force)
    return _show_and_judge(
        experiment,
        way.out,
        lambda progress: run_sweep(
            experiment.cases, kind, way.out, progress, force=way.force
        ),
    )


def _run_on_slurm(experiment: Experiment, way: Way) -> int:
    """Run an experiment on a cluster. This machine measures nothing."""
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.experiment.experiment_copy import keep_copy
    from pubsub_perf.experiment.slurm import commands
    from pubsub_perf.experiment.slurm.array import run_array
    from pubsub_perf.experiment.slurm.submission import wish_of

    if way.part is not None:
        raise ConfigError(
            "--slurm splits the experiment itself: give --slurm or --part"
        )
    commands.check_there()
    interrupts.install()
    wish = wish_of(
        experiment, way.hosts, way.out, words=way.sbatch or "", force=way.force
    )
    keep_copy(experiment, way.out, None, force=way.force)
    return _show_and_judge(
        experiment,
        way.out,
        lambda progress: run_array(wish, progress, _say),
    )


def _run_on_machines(experiment: Experiment, way: Way, machines: Machines) -> int:
    """Run an experiment on other machines. This machine measures nothing."""
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.experiment.experiment_copy import keep_copy
    from pubsub_perf.lab.deploy import deploy
    from pubsub_perf.lab.driver import LabSweep
    from pubsub_perf.lab.machines import LabMachines

    if way.slurm or way.sbatch is not None:
        raise ConfigError("--on and --slurm exclude each other: give one of them")
    interrupts.install()
    if machines.deploy:
        deploy(machines.installers(), machines.wheels, _say)
    with LabMachines(machines.commands(), _say) as lab:
        kind = lab.connect(way.hosts)
        if kind == "local":
            experiment = _without_links(experiment)
        cases = experiment.cases
        lab.prepare(kind, cases)
        keep_copy(experiment, way.out, kind, force=way.force)
        return _show_and_judge(
            experiment,
            way.out,
            lambda progress: LabSweep(lab, way.out, progress, _say).run(
                cases, kind, force=way.force
            ),
        )


def _without_links(experiment: Experiment) -> Experiment:
    """The experiment for local hosts, without its optional parameters of links; prints which
    were left out."""
    if not experiment.optional:
        return experiment
    left_out = ", ".join(experiment.optional)
    _say(f"local hosts have no links: measuring without {left_out}")
    return experiment.without_links()


def _say(text: str) -> None:
    console_script.print_message(PROGRAM, text)


def _show_and_judge(
    experiment: Experiment,
    out: Path,
    results_of: Callable[[SweepProgress], Sequence[Result]],
) -> int:
    """Run with a progress display, and print the results; returns the exit code.

    Raises:
        PubSubError: a cell failed or broke a threshold.
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
        raise PubSubError(f"{failed} of {counted(len(results), 'cell')} failed")
    if broken:
        raise PubSubError(
            f"{counted(len(broken), 'threshold is', 'thresholds are')} broken"
        )
    return console_script.EXIT_OK

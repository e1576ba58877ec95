"""``pubsub-perf run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf.commands import experiment_run, machine_options
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.experiment import experiment_files

USAGE: Final = f"""Run the experiment in a file, and write the latencies and a copy of the file
into a folder. The same command again skips the finished cells.

Examples:
  {PROGRAM} run smoke --out smoke
  {PROGRAM} run experiment.toml --dry-run
  {PROGRAM} run experiment.toml --hosts local --out results

Usage:
  {PROGRAM} run EXPERIMENT [options]

EXPERIMENT is a TOML file, or the name of a preset:
  {", ".join(experiment_files.preset_names())}.

Options:
  --out DIR               folder for the results; default: sweeps/NAME, NAME from the file
  --hosts KIND            mininet, local (loopback addresses), or auto: mininet where it can run;
                          default: the file's value, else auto
  --part I/N              run part I of N, one machine a part; both models of a network and run
                          are in the same part ({PROGRAM} sweep --merge joins the parts)
{machine_options.USAGE}
  --dry-run               show the cells and their duration, and run nothing
  --print                 print the file, to begin a new one with
  --force                 run finished cells again
  -v, --verbose           log more
  --man                   show the manual page, for man -l -
  -h, --help              show this text
  -V, --version           show the version

Exit codes: 0 all cells finished within all thresholds; 1 a cell failed or broke a threshold;
2 the experiment is not valid, or cannot run here.
"""


def run(words: Sequence[str]) -> int:
    """Run the experiment that ``words`` name; returns the exit code.

    Raises:
        PubSubError: a cell failed or broke a threshold, or the experiment cannot run here.
        ConfigError: the file is not valid, or another sweep is running on this machine.
    """
    options = parse(USAGE, words)
    name = options["EXPERIMENT"]
    text = experiment_files.experiment_text(name)
    if options["--print"]:
        experiment_run.print_text(text)
        return console_script.EXIT_OK
    experiment = experiment_files.parsed(text, name)
    out = Path(options["--out"] or f"sweeps/{Path(name).stem}")
    hosts = options["--hosts"] or experiment.hosts
    return experiment_run.run_as_asked(experiment, out, hosts, options, words)

"""``pubsub-perf run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common.cli import console_script
from pubsub_perf import __version__
from pubsub_perf.commands import experiment_run, machine_options
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.experiment import experiment_files

USAGE: Final = f"""Run an experiment that a file describes, and leave the latencies, with a copy
of the file, in a folder. Cells that are finished are skipped when it is run again.

Usage:
  {PROGRAM} run EXPERIMENT [options]

EXPERIMENT is a file of TOML, or the name of a preset:
  {", ".join(experiment_files.preset_names())}.

Options:
  --out DIR               where the results go; without it sweeps/NAME, after the file's name
  --hosts KIND            mininet, local (loopback addresses), or auto: mininet where it can run;
                          without it as the file says, else auto
  --part I/N              run part I of N, each on a machine of its own; both models of a network
                          and run are in one part ({PROGRAM} sweep --merge joins them)
{machine_options.USAGE}
  --dry-run               show the cells and how long they will take, and run nothing
  --print                 show the file, as one to begin with
  --force                 run finished cells again
  -v, --verbose           say more about what happens
  -h, --help              show this text
  --version               show the version

Exit codes: 0 done, and all thresholds are kept; 1 a cell failed or breaks a threshold;
2 the experiment makes no sense, or cannot run here.
"""


def run(words: Sequence[str]) -> int:
    """Run as ``words`` ask; the exit code.

    Raises:
        PubSubError: a cell failed or breaks a threshold, or the experiment cannot run here.
        ConfigError: the file makes no sense, or another sweep is running on this machine.
    """
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    name = options["EXPERIMENT"]
    text = experiment_files.experiment_text(name)
    if options["--print"]:
        experiment_run.print_text(text)
        return console_script.EXIT_OK
    experiment = experiment_files.parsed(text, name)
    out = Path(options["--out"] or f"sweeps/{Path(name).stem}")
    hosts = options["--hosts"] or experiment.hosts
    return experiment_run.run_as_asked(experiment, out, hosts, options, words)

"""``pubsub-perf sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.cli.console_script import source_of
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.text.counted import counted
from pubsub_common.text.printable import printable
from pubsub_perf.commands import experiment_run, machine_options
from pubsub_perf.commands.registry import PROGRAM, parse
from pubsub_perf.experiment import experiment_files
from pubsub_perf.plan.cases import OVERFLOWS, WARMUP_EVENTS
from pubsub_perf.plan.experiment_table import experiment_of
from pubsub_perf.plan.experiment_text import parse_table, table_text
from pubsub_perf.plan.parameters import PARAMETERS, Parameter
from pubsub_perf.plan.topologies import KINDS

USAGE: Final = f"""Run a publish/subscribe system on every network of the axes below, in
both dissemination models, and write the latencies into a folder. The same command again
skips the finished cells. Every VALUES takes several values with commas; all combinations
are run.

Examples:
  {PROGRAM} sweep --hosts local --out my-sweep
  {PROGRAM} sweep --topology tree --depth 2,3 --bandwidth 5 --repeats 3
  {PROGRAM} sweep --preset full --dry-run

Usage:
  {PROGRAM} sweep [options]
  {PROGRAM} sweep --merge [options] DIR...

What:
  --preset NAME           a named set of options; options on the command line replace its
                          values: {", ".join(experiment_files.preset_names())}
  --model VALUES          centralized, decentralized, or both
                          [default: centralized,decentralized]
  --events VALUES         events per publisher [default: 50]
  --interval VALUES       seconds between two events of a publisher [default: 0.1]
  --rate VALUES           events per second of a publisher, instead of the interval
  --arrivals VALUES       periodic, or poisson: random times between events, with the
                          interval as their mean [default: periodic]
  --topics VALUES         number of topics; publishers use them in turn, and
                          subscriber i takes topic i modulo this number [default: 1]
  --payload-size VALUES   bytes of a payload [default: {defaults.PAYLOAD_BYTES}]
  --brokers VALUES        number of brokers; several brokers are a group with etcd, each
                          on an additional host [default: 1]
  --secure                create keys and use them: all traffic is encrypted, and the
                          broker admits only its roles
  --overflow VALUES       action of the roles while a queue is full: {", ".join(OVERFLOWS)},
                          or default (the default of each role)
  --queue-limit VALUES    messages queued for a slow connection, or default
  --queue-bytes VALUES    bytes queued for a slow connection, or default

Where:
  --hosts KIND            mininet, local (loopback addresses), or auto: mininet
                          where it can run [default: auto]
  --topology VALUES       kinds of networks: {",".join(KINDS)};
                          or single networks like tree-d3f2,dumbbell-17
                          [default: single-switch,tree]
  --depth VALUES          depths of the trees, like 2..4 or 2,4 [default: 2,3]
  --fanout VALUES         fanouts of the trees [default: 2,3]
  --switch-hosts VALUES   numbers of hosts of the other topologies
                          [default: 4,8,16]
  --bandwidth VALUES      limit of each link in Mbit/s (dumbbell: of the trunk), or none
  --delay VALUES          one-way delay of each link in ms, or none
  --jitter VALUES         largest deviation from the delay in ms, or none
  --loss VALUES           per cent of packets that each link loses, or none
  --switch VALUES         linux-bridge, or openvswitch where it can run
                          [default: linux-bridge]

Machines:
{machine_options.USAGE}
  --part I/N              run part I of N, one machine a part; both models of a network
                          and run are in the same part

How long:
  --warmup VALUES         first events of each publisher and topic, which statistics
                          leave out [default: {WARMUP_EVENTS}]
  --repeats N             runs of each cell; intervals need at least 3 [default: 1]
  --wait-factor VALUES    time limit of a cell, in multiples of its planned length
                          [default: 5]

Output:
  --out DIR               folder for the results [default: sweeps/default]
  --merge                 run nothing; copy the cells of these folders (the parts of a
                          sweep) into --out
  --dry-run               show the cells and their duration, and run nothing
  --print                 print the experiment as a file for {PROGRAM} run
  -v, --verbose           log more

Rare:
  --seed N                seed of the times of events [default: 1]
  --force                 run finished cells again
  --man                   show the manual page, for man -l -
  -h, --help              show this text
  -V, --version           show the version
"""

# Options of the whole experiment.
_OVERALL: Final = ("hosts", "repeats", "seed")


def run(words: Sequence[str]) -> int:
    """Run the sweep that ``words`` describe; returns the exit code.

    Raises:
        PubSubError: a cell failed, or the sweep cannot run as asked.
        ConfigError: the options make no sense, or another sweep is running on this machine.
    """
    options = parse(USAGE, words)
    if options["--merge"]:
        if not source_of(options, "--out"):
            raise ConfigError(
                "--merge needs --out DIR, the folder for the joined sweep"
            )
        return _merge([Path(name) for name in options["DIR"]], Path(options["--out"]))
    table = table_of(options)
    text = table_text(table)
    experiment = experiment_of(table, text, "--")
    out = Path(options["--out"])
    if options["--print"]:
        experiment_run.print_text(text)
        return console_script.EXIT_OK
    return experiment_run.run_as_asked(
        experiment, out, experiment.hosts, options, words
    )


def table_of(options: console_script.Options) -> dict[str, object]:
    """The experiment of these options as the table of its file. Options that were given
    replace the values of the preset.

    Raises:
        ConfigError: the preset does not exist.
    """
    table: dict[str, object] = {}
    if options["--preset"] is not None:
        table = parse_table(experiment_files.preset_text(options["--preset"]))
    parameters = table.pop("parameters", {})
    assert isinstance(parameters, dict)
    for name in (*_OVERALL, *PARAMETERS):
        if not source_of(options, f"--{name}"):
            continue
        value = options[f"--{name}"]
        if name in PARAMETERS:
            parameters[name] = _plain(PARAMETERS[name], value)
        elif name == "hosts":
            table[name] = value
        else:
            table[name] = console_script.whole_number(options, f"--{name}", minimum=0)
    if source_of(options, "--rate") and not source_of(options, "--interval"):
        parameters.pop("interval", None)
    return {**table, "parameters": parameters}


def _plain(parameter: Parameter, given: object) -> object:
    """The value of an option as in a file: one value by itself, several as a list."""
    values = parameter.values_of(given, f"--{parameter.name}")
    listed = [parameter.plain(value) for value in values]
    return listed[0] if len(listed) == 1 else listed


def _merge(sources: Sequence[Path], out: Path) -> int:
    from pubsub_perf.experiment.merge import merge

    merged = merge(sources, out)
    for problem in merged.problems:
        console_script.print_message(PROGRAM, printable(problem))
    print(f"{counted(merged.cells, 'cell')} in {out}, {merged.taken} new")
    if merged.failed:
        raise PubSubError(f"{merged.failed} of {counted(merged.cells, 'cell')} failed")
    return console_script.EXIT_OK

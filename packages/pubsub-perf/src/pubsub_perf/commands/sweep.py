"""``pubsub-perf sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.cli.console_script import source_of
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.printable import printable
from pubsub_perf import __version__
from pubsub_perf.commands import experiment_run, machine_options
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.experiment import experiment_files
from pubsub_perf.plan.cases import OVERFLOWS, WARMUP_EVENTS
from pubsub_perf.plan.experiment_table import experiment_of
from pubsub_perf.plan.experiment_text import parse_table, table_text
from pubsub_perf.plan.parameters import PARAMETERS, Parameter
from pubsub_perf.plan.topologies import KINDS

USAGE: Final = f"""Run a publish/subscribe system on every network of the axes below, in
both dissemination models, and leave the latencies in a folder. Cells that are finished
are skipped when it is run again. Every VALUES may be several, with commas: then all
combinations are run.

Usage:
  {PROGRAM} sweep [options]
  {PROGRAM} sweep --merge [options] DIR...

Options:
  --preset NAME           options by name, of which those given besides have precedence:
                          {", ".join(experiment_files.preset_names())}
  --hosts KIND            mininet, local (loopback addresses), or auto: mininet
                          where it can run [default: auto]
  --model VALUES          centralized,decentralized or one of them
                          [default: centralized,decentralized]
  --topology VALUES       of {",".join(KINDS)}, on the axes below,
                          and single networks like tree-d3f2,dumbbell-17
                          [default: single-switch,tree]
  --depth VALUES          depths of the trees, like 2..4 or 2,4 [default: 2,3]
  --fanout VALUES         fanouts of the trees [default: 2,3]
  --switch-hosts VALUES   numbers of hosts of the other topologies
                          [default: 4,8,16]
  --events VALUES         events per publisher [default: 50]
  --interval VALUES       seconds between two events of a publisher [default: 0.1]
  --rate VALUES           instead of the interval: events per second of a publisher
  --topics VALUES         topics; publishers go through them in turn, and
                          subscriber i takes number i modulo their number [default: 1]
  --payload-size VALUES   bytes of a payload [default: {defaults.PAYLOAD_BYTES}]
  --bandwidth VALUES      limit of each link in Mbit/s (dumbbell: of the trunk), or none
  --delay VALUES          one-way delay of each link in ms, or none
  --jitter VALUES         how far the delay of a packet may be off, in ms, or none
  --loss VALUES           per cent of packets that each link loses, or none
  --switch VALUES         linux-bridge, or openvswitch where it can run
                          [default: linux-bridge]
  --brokers VALUES        brokers; more than one are a group, each on a host of its own
                          beside those of the network, as etcd is [default: 1]
  --secure                with keys, which are made for it: everything is encrypted,
                          and the broker admits only its roles
  --overflow VALUES       what the roles do while a queue is full: {", ".join(OVERFLOWS)} or
                          default, which is the roles' own
  --queue-limit VALUES    messages kept for a connection that is slow, or default
  --queue-bytes VALUES    the same in bytes, or default
  --warmup VALUES         events of each publisher and topic, before the others, that
                          are kept out of statistics [default: {WARMUP_EVENTS}]
  --repeats N             whole runs of each cell; intervals need at least 3
                          [default: 1]
  --wait-factor VALUES    a cell may take so many times its planned length until its
                          subscribers must have their files [default: 5]
  --seed N                seed of the publishers' phases [default: 1]
  --part I/N              run part I of N, each on a machine of its own; both models of
                          a network and run are in one part
{machine_options.USAGE}
  --out DIR               where the results go [default: sweeps/default]
  --merge                 run nothing: copy the cells of these folders, of a sweep's
                          parts, into the one in --out
  --dry-run               show the cells and how long they will take, and run nothing
  --print                 show the experiment as a file for {PROGRAM} run
  --force                 run finished cells again
  -v, --verbose           say more about what happens
  -h, --help              show this text
  --version               show the version
"""

# Of the experiment as a whole.
_OVERALL: Final = ("hosts", "repeats", "seed")


def run(words: Sequence[str]) -> int:
    """Sweep as ``words`` ask; the exit code.

    Raises:
        PubSubError: a cell failed, or the sweep cannot run as asked.
        ConfigError: the options make no sense, or another sweep is running on this machine.
    """
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
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
    """The experiment that options say, as the table of its file: that of the preset, but for
    what was given besides.

    Raises:
        ConfigError: there is no such preset.
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
    """What an option gives as a file has it: one value by itself, several as a list."""
    values = parameter.values_of(given, f"--{parameter.name}")
    listed = [parameter.plain(value) for value in values]
    return listed[0] if len(listed) == 1 else listed


def _merge(sources: Sequence[Path], out: Path) -> int:
    from pubsub_perf.experiment.merge import merge

    merged = merge(sources, out)
    for problem in merged.problems:
        console_script.print_message(PROGRAM, printable(problem))
    print(f"{merged.cells} cells in {out}, {merged.taken} of them new")
    if merged.failed:
        raise PubSubError(f"{merged.failed} of {merged.cells} cells failed")
    return console_script.EXIT_OK

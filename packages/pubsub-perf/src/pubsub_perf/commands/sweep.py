"""``pubsub-perf sweep``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pubsub_common import defaults
from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.net.open_files import check_open_files
from pubsub_common.printable import printable
from pubsub_perf import __version__
from pubsub_perf.commands.registry import PROGRAM
from pubsub_perf.experiment import one_sweep
from pubsub_perf.plan.cases import WARMUP_EVENTS
from pubsub_perf.plan.presets import PRESETS
from pubsub_perf.plan.topologies import KINDS

if TYPE_CHECKING:
    from pubsub_perf.hosts import factory
    from pubsub_perf.plan import cases as plan


USAGE: Final = f"""Run a publish/subscribe system on every network of the axes below, in
both dissemination models, and leave the latencies in a folder. Cells that are finished
are skipped when it is run again.

Usage:
  {PROGRAM} sweep [options]
  {PROGRAM} sweep --merge [options] DIR...

Options:
  --preset NAME           options by name: {", ".join(PRESETS)}; options that are
                          given besides have precedence
  --hosts KIND            mininet, local (loopback addresses), or auto: mininet
                          where it can run [default: auto]
  --model NAMES           centralized,decentralized or one of them
                          [default: centralized,decentralized]
  --topology NAMES        of {",".join(KINDS)}, on the axes below,
                          and single networks like tree-d3f2,dumbbell-17
                          [default: single-switch,tree]
  --depth RANGE           depths of the trees, like 2..4 or 2,4 [default: 2..3]
  --fanout RANGE          fanouts of the trees [default: 2..3]
  --switch-hosts RANGE    numbers of hosts of the other topologies
                          [default: 4,8,16]
  --events N              events per publisher [default: 50]
  --interval SECONDS      time between two events of a publisher [default: 0.1]
  --topics N              topics; publishers go through them in turn, and
                          subscriber i takes number i modulo N [default: 1]
  --payload-size BYTES    size of the payload [default: {defaults.PAYLOAD_BYTES}]
  --bandwidth MBIT        limit of each link in Mbit/s (dumbbell: of the trunk)
  --delay MS              one-way delay of each link in ms
  --switch KIND           linux-bridge, or openvswitch where it can run
                          [default: linux-bridge]
  --brokers N             brokers; more than one are a group, each on a host of its own
                          beside those of the network, as etcd is [default: 1]
  --secure                with keys, which are made for it: everything is encrypted,
                          and the broker admits only its roles
  --warmup N              events of each publisher and topic, before the others, that
                          are kept out of statistics [default: {WARMUP_EVENTS}]
  --repeats N             whole runs of each cell; intervals need at least 3
                          [default: 1]
  --wait-factor F         a cell may take F times its planned length until its
                          subscribers must have their files [default: 5]
  --seed N                seed of the publishers' phases [default: 1]
  --part I/N              run part I of N, each on a machine of its own; both models of
                          a network and run are in one part
  --out DIR               where the results go [default: sweeps/default]
  --merge                 run nothing: copy the cells of these folders, of a sweep's
                          parts, into one
  --force                 run finished cells again
  -v, --verbose           say more about what happens
  -h, --help              show this text
  --version               show the version
"""


def run(words: Sequence[str]) -> int:
    """Sweep as ``words`` ask; the exit code.

    Raises:
        PubSubError: a cell failed, or the sweep cannot run as asked.
        ConfigError: another sweep is running on this machine.
    """
    words = with_preset(words)
    options = console_script.parse(USAGE, words, PROGRAM, __version__)
    if options["--merge"]:
        return _merge([Path(name) for name in options["DIR"]], Path(options["--out"]))
    with one_sweep.alone():
        clear_environment()
        console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
        return _sweep(options, words)


def numbers(text: str, name: str) -> list[int]:
    """``2..4`` or ``4,8,16`` or both, as numbers of 1 or more.

    Raises:
        ConfigError: it is something else.
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]+)(?:\.\.([0-9]+))?", part.strip())
        if match is None:
            raise ConfigError(f"{name}: {part!r} is not a number or a range like 2..4")
        first = int(match[1])
        last = int(match[2] or match[1])
        if not 1 <= first <= last:
            raise ConfigError(f"{name}: {part!r} is not a range upwards from 1")
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


def with_preset(words: Sequence[str]) -> list[str]:
    """``--preset NAME`` replaced by its words, without those given besides.

    Raises:
        ConfigError: there is no such preset.
    """
    rest: list[str] = []
    chosen: str | None = None
    pending = iter(words)
    for word in pending:
        if word == "--preset":
            chosen = next(pending, "")
        elif word.startswith("--preset="):
            chosen = word.partition("=")[2]
        else:
            rest.append(word)
    if chosen is None:
        return rest
    if chosen not in PRESETS:
        raise ConfigError(f"no preset {chosen!r}: choose of {', '.join(PRESETS)}")
    given = {word.partition("=")[0] for word in rest}
    return rest + [w for w in PRESETS[chosen] if w.partition("=")[0] not in given]


# What a broker opens, and for the clients of each host.
_FILES: Final = 52
_HOST_FILES: Final = 4


def _sweep(options: console_script.Options, words: Sequence[str]) -> int:
    from pubsub_perf.experiment import interrupts
    from pubsub_perf.hosts import etcd_program, factory, namespaces
    from pubsub_perf.plan import cases as plan

    load = plan.Load(
        events=console_script.whole_number(options, "--events"),
        interval_s=console_script.seconds(options, "--interval"),
        topics=console_script.whole_number(options, "--topics"),
        payload_bytes=console_script.whole_number(options, "--payload-size", minimum=0),
        bandwidth_mbit=_optional(options, "--bandwidth"),
        delay_ms=_optional(options, "--delay"),
        warmup_events=console_script.whole_number(options, "--warmup", minimum=0),
        wait_factor=console_script.seconds(options, "--wait-factor"),
        seed=console_script.whole_number(options, "--seed", minimum=0),
        switch=options["--switch"],
        secure=options["--secure"],
        brokers=console_script.whole_number(options, "--brokers"),
    )
    if load.brokers > 1 and (missing := etcd_program.unavailable()):
        raise ConfigError(missing)
    networks = plan.networks(
        options["--topology"].split(","),
        numbers(options["--depth"], "--depth"),
        numbers(options["--fanout"], "--fanout"),
        numbers(options["--switch-hosts"], "--switch-hosts"),
    )
    cases = plan.cases(
        options["--model"].split(","),
        networks,
        load,
        console_script.whole_number(options, "--repeats"),
    )
    if options["--part"] is not None:
        cases = _cases_of_part(options["--part"], cases)
    hosts = max(len(case.network.nodes) for case in cases)
    check_open_files(f"a sweep of {hosts} hosts", _FILES + _HOST_FILES * hosts)
    kind, why = factory.choose(options["--hosts"])
    if why is not None:
        console_script.print_message(
            PROGRAM, f"Mininet cannot run here ({why}); using local hosts"
        )
    if kind == "mininet":
        namespaces.enter(["-m", "pubsub_perf", *words])
    interrupts.install()
    factory.check_network(kind, load)
    for missing in factory.missing_features(kind):
        console_script.print_message(PROGRAM, missing)
    return _run(cases, kind, Path(options["--out"]), force=options["--force"])


def _run(
    cases: Sequence[plan.Case], kind: factory.HostKind, out: Path, *, force: bool
) -> int:
    from rich.console import Console

    from pubsub_perf.experiment.progress import SweepProgress, print_table
    from pubsub_perf.experiment.sweep import run_sweep

    console = Console()
    with SweepProgress(cases, console) as progress:
        results = run_sweep(cases, kind, out, progress, force=force)
    print_table(console, results, out)
    failed = [result for result in results if result.failed]
    if failed:
        raise PubSubError(f"{len(failed)} of {len(results)} cells failed")
    return console_script.EXIT_OK


def _merge(sources: Sequence[Path], out: Path) -> int:
    from pubsub_perf.experiment.merge import merge

    merged = merge(sources, out)
    for problem in merged.problems:
        console_script.print_message(PROGRAM, printable(problem))
    print(f"{merged.cells} cells in {out}, {merged.taken} of them new")
    if merged.failed:
        raise PubSubError(f"{merged.failed} of {merged.cells} cells failed")
    return console_script.EXIT_OK


def _cases_of_part(text: str, cases: Sequence[plan.Case]) -> list[plan.Case]:
    from pubsub_perf.plan import blocks

    part = blocks.Part.parse(text)
    whole = blocks.blocks_of(cases)
    if part.parts > len(whole):
        raise ConfigError(
            f"a sweep of {len(whole)} networks and runs has at most {len(whole)} parts: "
            f"{part}"
        )
    return blocks.cases_of(part.of(whole))


def _optional(options: console_script.Options, name: str) -> float | None:
    return None if options[name] is None else console_script.seconds(options, name)

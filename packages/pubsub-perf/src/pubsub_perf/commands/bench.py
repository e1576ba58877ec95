"""``pubsub-perf bench``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.text.ascii_numbers import whole_number
from pubsub_perf.commands import bench_files
from pubsub_perf.commands.registry import PROGRAM, parse

if TYPE_CHECKING:
    from rich.console import Console

    from pubsub_perf.bench.footprint import Fact
    from pubsub_perf.bench.regression import Reference
    from pubsub_perf.bench.targets import Comparison, ComparisonResult

USAGE: Final = f"""Measure the cost of the roles, on loopback with real processes. The roles
and plain pyzmq carry the same frames in turn within one run, so that the ratios are
also valid on a busy machine.

Examples:
  {PROGRAM} bench
  {PROGRAM} bench --bars 1,4
  {PROGRAM} bench --calls --bars receive
  {PROGRAM} bench --brokers --bars A2,costs

Usage:
  {PROGRAM} bench [options]

Options:
  --bars NAMES            only these bars, like 1,4, with --calls like receive,block, or
                          with --brokers like A2,costs (see docs/performance.md). With
                          --calls: exit code 1 if one is missed
  --only TEXT             only comparisons, or cells of --calls, with TEXT in their name
  --repetitions N         runs of each side, in turn; the median counts. A comparison
                          that misses its bar, or is worse than in --check, gets three
                          times as many [default: 5]
  --seconds S             length of a run [default: 1.5]
  --out FILE              write all results as JSON to FILE
  --add                   with --calls: keep the cells that the FILE of --out has and that
                          this run does not measure
  --check FILE            compare the ratios with those in FILE, written by an earlier
                          --out: exit code 1 if one is worse by more than 15 %
  --calls                 measure each kind of call instead, from before the publish call to
                          after the receive call, all in turn
  --base DIR              with --calls: run the calls of another checkout, too, in turn, and compare
                          both; its environment is DIR/.venv
  --secure                measure keys and encryption instead: roles with keys against
                          roles without, and plain pyzmq likewise
  --flood                 measure the latency of other clients instead, while one address
                          floods the broker's control port in several ways
  --brokers               measure a group of brokers instead: its cost, and the work that
                          each broker saves; needs etcd
  -v, --verbose           log more
  --man                   show the manual page, for man -l -
  -h, --help              show this text
  -V, --version           show the version
"""


def run(variables: Sequence[str]) -> int:
    """Run the benchmarks that ``variables`` name; returns the exit code.

    Raises:
        PubSubError: a run failed, or a ratio got worse.
    """
    options = parse(USAGE, variables)
    clear_environment()
    console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
    repetitions = console_script.whole_number(options, "--repetitions")
    seconds = console_script.seconds(options, "--seconds")
    if seconds <= 0:
        raise ConfigError("--seconds must be more than 0")
    from rich.console import Console

    console = Console()
    if options["--calls"]:
        from pubsub_perf.commands import bench_calls

        return bench_calls.run(options, console, repetitions, seconds)
    if options["--flood"]:
        return _flood(options, console, repetitions, seconds)
    if options["--brokers"]:
        return _brokers(options, console, repetitions, seconds)
    from pubsub_perf.bench.regression import Reference

    reference = Reference(bench_files.read(options["--check"], "comparisons"))
    return _bars(options, console, repetitions, seconds, reference)


def _bars(
    options: console_script.Options,
    console: Console,
    repetitions: int,
    seconds: float,
    reference: Reference,
) -> int:
    from pubsub_perf.bench import suite
    from pubsub_perf.bench.regression import TOLERANCE

    bars = _bars_asked(options["--bars"])
    only = options["--only"] or ""

    def say(what: str) -> None:
        if console.is_terminal:
            console.print(what, end="\r", highlight=False)

    results: list[ComparisonResult] = []
    for comparison in _chosen(bars, only, secure=options["--secure"]):
        compared = suite.compare(
            comparison, repetitions, seconds, say, reference.doubtful
        )
        for result in compared:
            if bars is None or result.bar in bars:
                results.append(result)
                console.print(line_of(result), highlight=False, soft_wrap=True)
    facts: list[Fact] = []
    if options["--secure"]:
        if not only:
            facts = suite.secure_facts(repetitions, say)
    elif not only and (bars is None or 7 in bars):
        facts = suite.facts(repetitions, say)
    for fact in facts:
        console.print(line_of_fact(fact), highlight=False, soft_wrap=True)
    if not results and not facts:
        raise ConfigError("no comparison has this bar and name")
    found = suite.document(results, facts, repetitions, seconds)
    bench_files.write(options["--out"], found)
    complaint = reference.complaint(results)
    if complaint is not None:
        raise PubSubError(complaint)
    if options["--check"]:
        sys.stdout.write(
            f"no ratio is worse than in --check by more than {TOLERANCE:.0%}\n"
        )
    return console_script.EXIT_OK


def _flood(
    options: console_script.Options, console: Console, repetitions: int, seconds: float
) -> int:
    from pubsub_perf.bench import flood

    def say(what: str) -> None:
        if console.is_terminal:
            console.print(what, end="\r", highlight=False)

    found = []
    for row in flood.rows(repetitions, seconds, say):
        found.append(row)
        console.print(flood.line_of(row), highlight=False, soft_wrap=True)
    bench_files.write(options["--out"], flood.document(found, repetitions, seconds))
    return console_script.EXIT_OK


def _brokers(
    options: console_script.Options, console: Console, repetitions: int, seconds: float
) -> int:
    from pubsub_perf.bench.group import suite
    from pubsub_perf.hosts import etcd_program

    def say(what: str) -> None:
        if console.is_terminal:
            console.print(what, end="\r", highlight=False)

    if missing := etcd_program.unavailable():
        raise ConfigError(missing)
    asked = options["--bars"].split(",") if options["--bars"] else None
    known = [suite.COSTS, *suite.PARTS]
    if unknown := set(asked or ()) - set(known):
        raise ConfigError(
            f"no bar {', '.join(sorted(unknown))}: choose from {', '.join(known)}"
        )
    chosen = known if asked is None else asked
    costs = []
    if suite.COSTS in chosen:
        for cost in suite.event_costs(repetitions, seconds, say):
            costs.append(cost)
            console.print(suite.line_of_cost(cost), highlight=False, soft_wrap=True)
    figures = []
    failed = []
    for bar in chosen:
        if bar == suite.COSTS:
            continue
        try:
            for figure in suite.PARTS[bar](repetitions, seconds, say):
                figures.append(figure)
                console.print(suite.line_of(figure), highlight=False, soft_wrap=True)
        except PubSubError as error:
            # The bars before took minutes: their results are kept.
            console_script.print_message(PROGRAM, f"{bar}: {error}")
            failed.append(bar)
    bench_files.write(
        options["--out"], suite.document(costs, figures, repetitions, seconds)
    )
    if failed:
        raise PubSubError(f"not measured: {', '.join(failed)}")
    return console_script.EXIT_OK


def line_of(result: ComparisonResult) -> str:
    """One line for people."""
    unit = {
        "rate": "events/s",
        "p50_us": "us p50",
        "p99_us": "us p99",
        "cpu_s_per_million": "CPU s per million",
    }[result.metric]
    digits = 0 if result.metric == "rate" else 2
    sign = ">=" if result.metric == "rate" else "<="
    lost = f", {result.lost} lost" if result.lost else ""
    asked = "" if result.bound is None else f" {sign} {result.bound:.2f}"
    return (
        f"bar {result.bar} {_met(result)}"
        f"{result.ratio:5.2f} ({result.lowest:.2f} to {result.highest:.2f})"
        f"{asked}  {result.name}: "
        f"{result.ours:,.{digits}f} against {result.other:,.{digits}f} {unit}{lost}"
    )


def line_of_fact(fact: Fact) -> str:
    """One line for people."""
    asked = "" if fact.bound is None else f" <= {fact.bound:g}"
    return (
        f"bar {fact.bar} {_met(fact)}{fact.value:5.2f} {fact.unit}{asked}  {fact.name}"
    )


def _met(found: ComparisonResult | Fact) -> str:
    if found.bound is None:
        return ""
    return "met  " if found.met else "MISS "


def _chosen(bars: set[int] | None, only: str, *, secure: bool) -> list[Comparison]:
    from pubsub_perf.bench import security_cost
    from pubsub_perf.bench.targets import comparisons

    return [
        item
        for item in (security_cost.comparisons() if secure else comparisons())
        if only in item.name
        and (bars is None or any(target.bar in bars for target in item.targets))
    ]


def _bars_asked(text: str | None) -> set[int] | None:
    if text is None:
        return None
    try:
        return {whole_number(part) for part in text.split(",")}
    except ValueError:
        raise ConfigError(f"--bars takes comma-separated numbers: {text!r}") from None

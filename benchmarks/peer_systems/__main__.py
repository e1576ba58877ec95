"""Runs the comparison, or draws its figure: ``python -m peer_systems``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pubsub_common.cli import console_script
from pubsub_common.cli.parser import clear_environment
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.files import write_atomically
from pubsub_perf import __version__
from pubsub_perf.bench.in_turn.bars import complaint
from pubsub_perf.bench.in_turn.results import joined

PROGRAM: Final = "peer_systems"
USAGE: Final = f"""Measure NATS, Mosquitto, Redis and Zenoh in turn with ours and with plain pyzmq,
those that are installed.

Usage:
  {PROGRAM} [options]

Options:
  --bars NAMES            only the cells of these bars, like drop,large
                          (see docs/performance.md); exit code 1 if one is missed
  --only TEXT             only cells with TEXT in their name
  --repetitions N         runs of each, in turn; the median counts [default: 5]
  --seconds S             length of a run [default: 1.5]
  --out FILE              write everything as JSON to FILE, after each cell; with --draw, a
                          PNG
  --add                   keep the cells that the FILE of --out has and that this run does
                          not measure
  --draw FILE             draw what --out wrote to FILE before; measure nothing
  -v, --verbose           say more about what happens
  -h, --help              show this text
  --version               show the version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code."""
    options = console_script.parse(USAGE, argv, PROGRAM, __version__)
    return console_script.run(PROGRAM, lambda: run(options))


def run(options: console_script.Options) -> None:
    """Compare or draw, as the options say.

    Raises:
        PubSubError: a run failed.
    """
    clear_environment()
    console_script.set_up_logging(PROGRAM, verbose=options["--verbose"])
    repetitions = console_script.whole_number(options, "--repetitions")
    seconds = console_script.seconds(options, "--seconds")
    if seconds <= 0:
        raise ConfigError("--seconds must be more than 0")
    if options["--draw"]:
        draw(options["--draw"], options["--out"])
        return
    from rich.console import Console

    from peer_systems import comparison

    console = Console()
    out = options["--out"]
    before = read(out) if options["--add"] and out and Path(out).exists() else None

    def keep(document: dict[str, Any]) -> None:
        if out:
            found = msgspec.json.encode(joined(before, document))
            write_atomically(Path(out), msgspec.json.format(found, indent=2) + b"\n")

    names = options["--bars"].split(",") if options["--bars"] else None
    cells = comparison.chosen(names, options["--only"] or "")
    if not cells:
        raise ConfigError("no cell has this bar and name")
    found = comparison.run(
        cells,
        names,
        repetitions,
        seconds,
        lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False),
        keep,
    )
    missed = complaint(found)
    if names and missed:
        raise PubSubError(missed)


def draw(name: str, out: str | None) -> None:
    """Draw the figure of an earlier comparison.

    Raises:
        ConfigError: it cannot be read, or has nothing to draw.
    """
    from peer_systems import figure

    if out is None:
        raise ConfigError("--draw needs --out, the name of the PNG")
    figure.draw(read(name), Path(out))


def read(name: str) -> dict[str, Any]:
    """What ``--out`` wrote before.

    Raises:
        ConfigError: the file cannot be read, or has something else.
    """
    try:
        document = msgspec.json.decode(Path(name).read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {name}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name} was not written by --out: {error}") from error
    if not isinstance(document, dict) or "rows" not in document:
        raise ConfigError(f"{name} was not written by --out")
    return document


if __name__ == "__main__":
    sys.exit(main())

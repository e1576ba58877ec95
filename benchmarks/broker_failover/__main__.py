"""Kill the broker of a thousand clients, and observe how they continue at the others.

    PYTHONPATH=benchmarks python -m broker_failover [--clients 1000] [--out FILE] [--plot STEM]

Three servers of etcd and three brokers run on loopback, of which the first has all clients; they
are real ones, a tenth of them publishers, in ten processes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from broker_failover.figure import draw
from broker_failover.run import measure
from broker_failover.samples import BAR_S, Run, words
from pubsub_common.errors import PubSubError
from pubsub_perf.plots.output import save

_MODELS = ("centralized", "decentralized")


def main() -> int:
    """Measure, or draw earlier measurements; returns 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15.0, help="after the kill")
    parser.add_argument("--models", nargs="+", choices=_MODELS, default=_MODELS)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    parser.add_argument("--plot", type=Path, help="draw STEM.png and STEM.svg")
    parser.add_argument("--read", type=Path, help="draw what --out wrote; no run")
    options = parser.parse_args()
    try:
        if options.read is not None:
            documents = json.loads(options.read.read_text(encoding="utf-8"))
            runs = [Run.of(document) for document in documents]
        else:
            runs = [
                measure(model, options.clients, options.seconds)
                for model in options.models
            ]
    except PubSubError as error:
        print(f"broker_failover: {error}", file=sys.stderr)
        return 2
    for run in runs:
        print(words(run))
    if options.out is not None:
        text = json.dumps([run.document() for run in runs], indent=1)
        options.out.write_text(text + "\n", encoding="utf-8")
    if options.plot is not None:
        save(draw(runs), options.plot)
    return 0 if all((run.moved_s() or BAR_S + 1) <= BAR_S for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())

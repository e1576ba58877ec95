"""Fuzz all targets: run_fuzz.py [RUNS [SEED]]. Exits with 1 if one raised a forbidden
exception.

RUNS is the total number of inputs; SEED makes them reproducible.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from fuzz_loop import CRASHES, Outcome, fuzz
from fuzz_targets import TARGETS, Target


def _fuzz(target: Target, runs: int, seed: int) -> Outcome:
    return fuzz(target, runs, seed, keep=True)


def main(arguments: list[str]) -> int:
    # The log would have a million lines about rejected inputs.
    for name in ("pubsub_subscriber.receiving.fast_path",):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    runs = int(arguments[0]) if arguments else 1_000_000
    seed = int(arguments[1]) if len(arguments) > 1 else time.time_ns() % 10**9
    each = -(-runs // len(TARGETS))
    print(f"{each} inputs for each of {len(TARGETS)} targets, seed {seed}", flush=True)
    print(f"{'target':24}{'inputs':>9}{'corpus':>8}{'declared':>10}{'crashes':>9}")
    failed = 0
    total = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = partial(_fuzz, runs=each, seed=seed)
        for outcome in pool.map(work, TARGETS):
            print(
                f"{outcome.name:24}{outcome.inputs:9}{outcome.corpus:8}"
                f"{outcome.declared:10}{len(outcome.crashes):9}",
                flush=True,
            )
            for crash in outcome.crashes:
                print(f"    {crash}", flush=True)
            failed += len(outcome.crashes)
            total += outcome.inputs
    print(f"{'all':24}{total:9}{'':18}{failed:9}")
    if failed:
        print(f"the inputs are in {os.path.relpath(CRASHES)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

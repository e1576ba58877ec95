"""Runs 20 publishers, 50 subscribers and a broker for long, half the time in each
model, while clients come and go. Exit code 1 when memory grows, or an event is missing.

python scripts/soak.py [--seconds 1800] [--out FOLDER] [--bound KIB_PER_MINUTE] [--seed N]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "chaos"))
from chaos_processes import Failed
from chaos_run import recovery
from chaos_soak import Soak, SoakResult, table

from pubsub_common.protocol.messages import Model

MODELS: tuple[Model, ...] = ("centralized", "decentralized")
# 5 MiB an hour and process: far less than a leak at every event or client would be.
BOUND_KIB_MIN = 85.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="for both models")
    parser.add_argument("--out", type=Path, help="folder for soak.json and soak.md")
    parser.add_argument("--bound", type=float, default=BOUND_KIB_MIN)
    # No secret: it is printed.
    seed = random.randrange(1_000_000)  # nosec B311
    parser.add_argument("--seed", type=int, default=seed)
    options = parser.parse_args()
    print(f"soak: seed {options.seed}", flush=True)
    results: list[SoakResult] = []
    failed = False
    for model in MODELS:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            soak = Soak(Path(folder), model, options.seed, recover=recovery())
            try:
                results.append(soak.run(options.seconds / len(MODELS), options.bound))
            except Failed as error:
                print(f"soak: {model}: {error}", file=sys.stderr)
                failed = True
    print(table(results))
    for result in results:
        for problem in result.verdict.problems:
            print(f"soak: {result.model}: {problem}", file=sys.stderr)
        for role in result.roles:
            if role.exceeded:
                what = (
                    f"a {role.role} grows by {role.max_slope} KiB/min, and by "
                    f"{role.more_fds} descriptors"
                )
                print(f"soak: {result.model}: {what}", file=sys.stderr)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        rows = [dataclasses.asdict(result) for result in results]
        (options.out / "soak.json").write_text(json.dumps(rows, indent=1) + "\n")
        (options.out / "soak.md").write_text(table(results) + "\n")
    return 1 if failed or not all(result.good for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

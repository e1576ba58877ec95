"""Look for known vulnerabilities in the packages of this environment.

    python scripts/audit.py

Exits with 1 when pip-audit finds one. Where its service cannot be reached, or knows
none of the packages, it says so on one line and exits with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 120
COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--local", "--skip-editable"),
    *("--progress-spinner", "off", "--timeout", "10", "--format", "json"),
)


def judge(out: str, err: str) -> tuple[int, list[str]]:
    """The exit code and the lines to print, for the output of pip-audit."""
    try:
        found: list[dict[str, Any]] = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        return 0, [f"pip-audit: not done, as its service cannot be asked ({last})"]
    asked = [each for each in found if "skip_reason" not in each]
    lines = [
        f"pip-audit: {each['name']} {each['version']}: {flaw['id']}, fixed in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for each in asked
        for flaw in each["vulns"]
    ]
    if lines:
        return 1, lines
    if not asked:
        return 0, ["pip-audit: not done, as its service knows none of the packages"]
    skipped = len(found) - len(asked)
    rest = f"; {skipped} are not known there" if skipped else ""
    return 0, [f"pip-audit: nothing known against {len(asked)} packages{rest}"]


def main() -> int:
    """Ask, print the result, and return the exit code."""
    try:
        done = subprocess.run(
            COMMAND, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        out, err = done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        out, err = "", f"no answer within {TIMEOUT_S} s"
    code, lines = judge(out, err)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())

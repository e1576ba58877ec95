"""The console script, with clients that do nothing or little."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest
from support.paths import DOCS

from pubsub_common.protocol.messages import Role
from pubsub_common.testing.conformance import page
from pubsub_common.testing.conformance.cli import PROGRAM, main
from pubsub_common.testing.conformance.runner import scenarios_of
from pubsub_common.testing.conformance.scenario import OPTIONS

ROLES: Final[tuple[Role, ...]] = ("subscriber", "publisher")


def exit_code(*words: str) -> int:
    """Of the program; the words may make it end early."""
    try:
        return main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)


def test_it_lists_its_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--list") == 0
    both = capsys.readouterr().out
    assert exit_code("publisher", "--list") == 0
    own = capsys.readouterr().out
    assert own in both
    assert "  heartbeats: " in own
    assert "subscriber:" in both
    assert "recovers (--recover): " in both
    assert "moves-at-farewell (--brokers): " in both


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "say which role"),
        (["subscriber"], "say which role"),
        (["--", "true"], PROGRAM),
        (["subscriber", "--only", "no-such", "--", "true"], "no scenario 'no-such'"),
        (["subscriber", "--jobs", "0", "--", "true"], "--jobs"),
        (["subscriber", "--timeout", "x", "--", "true"], "--timeout"),
        (["subscriber", "--", "./no-such-program"], "cannot start './no-such-program'"),
        (["subscriber", "--colour", "--", "true"], "--colour"),
    ],
)
def test_bad_usage_is_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*words) == 2
    shown = capsys.readouterr().err
    assert complaint in shown
    assert shown.count("\n") == 1


def test_a_client_that_does_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    ends = [sys.executable, "-c", "import sys; sys.exit('I cannot \\x1b[2J do this')"]
    words = ["publisher", "--only", "registers", "--timeout", "30", "-v", "--", *ends]
    assert exit_code(*words) == 1
    shown = capsys.readouterr()
    line, last = shown.out.splitlines()
    assert line.startswith("FAIL  registers  it registers with its options")
    assert "the program ended with exit code 1; it wrote: I cannot" in line
    assert "\x1b" not in line
    assert line.endswith("see docs/protocol.md#register")
    assert last == "0 of 1 scenarios passed"
    assert "stderr: I cannot" in shown.err


def test_it_starts_without_zeromq() -> None:
    code = (
        "import sys\nfrom pubsub_common.testing.conformance.cli import main\n"
        "try: main(['--help'])\nfinally: print('zmq' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert f"Usage:\n  {PROGRAM} subscriber" in done.stdout
    assert done.stdout.endswith("False\n")


def test_each_section_that_a_finding_can_name_is_on_the_page() -> None:
    anchors = set()
    for text in (DOCS / "protocol.md").read_text("utf-8").splitlines():
        if text.startswith("#"):
            title = text.lstrip("# ").replace("`", "").lower()
            kept = "".join(c for c in title if c.isalnum() or c in " _-")
            anchors.add(kept.replace(" ", "-"))
    named = {
        value for name, value in vars(page).items() if name.isupper() and value
    } | {
        scenario.section
        for role in ROLES
        for scenario in scenarios_of(role, options=OPTIONS)
    }
    assert named <= anchors


def test_scenarios_of_a_role_have_different_names() -> None:
    for role in ROLES:
        names = [each.name for each in scenarios_of(role, options=OPTIONS)]
        assert len(names) == len(set(names))
        assert len(names) > 40

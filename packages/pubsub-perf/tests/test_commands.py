"""The subcommands of `pubsub-perf`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pubsub_perf import cli
from pubsub_perf.commands.registry import SUBCOMMANDS

# Libraries that take seconds to load on a busy machine.
LARGE = ("matplotlib", "scipy", "rich.table")


@pytest.mark.parametrize("name", [each.name for each in SUBCOMMANDS])
def test_a_wrong_option_gets_a_hint_at_the_help_of_the_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--colour"])

    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"pubsub-perf {name}: unknown option --colour")
    assert said.endswith(f"; try pubsub-perf {name} --help\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", [each.name for each in SUBCOMMANDS])
def test_a_command_has_a_manual_page(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--man"])

    assert not end.value.code
    assert capsys.readouterr().out.startswith(f'.TH "PUBSUB-PERF-{name.upper()}" 1')


@pytest.mark.parametrize("words", [["plot"], ["analyze"], ["compare", "."]])
def test_a_folder_is_checked_before_large_libraries_are_loaded(
    words: list[str], tmp_path: Path
) -> None:
    code = (
        "import sys; from pubsub_perf import cli; code = cli.main(sys.argv[1:]); "
        f"print(code, *sorted(set({LARGE}) & set(sys.modules)))"
    )
    words = [*words, str(tmp_path / "gone")]

    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )

    assert done.stdout == "2\n", done
    assert done.stderr.startswith("pubsub-perf: nothing to ")

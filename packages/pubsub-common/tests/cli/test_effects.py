"""Options without an effect, and options that contradict each other, are rejected."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from pubsub_common.cli import console_script, option_texts, usage_text

PROGRAM = "pubsub-publisher"
USAGE = f"""Do a thing.

Usage:
  {PROGRAM} [options]

Options:
  --json           print JSON; not with --raw
  -r, --raw        print payloads
  --nest           with --json: values as values
  --history N      keep N events [default: 0]
  --history-bytes BYTES
                   with --history: most bytes
  --start WHEN     now or history [default: now]
  --recover        ask again
  --kept N         with --recover or --start history: most events [default: 9]
  --mean S         a mean, with --json as its form; not with a comma
{option_texts.CONFIG_OPTION}
{option_texts.HELP_OPTIONS}
"""


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str | None:
    with contextlib.suppress(SystemExit):
        console_script.parse(USAGE, words, PROGRAM, "1")
        return None
    return capsys.readouterr().err.removeprefix(f"{PROGRAM}: ").strip()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nest", "--nest is for --json only"),
        ("--nest -r", "--nest is for --json only"),
        ("--history-bytes 5", "--history-bytes is for --history only"),
        ("--history-bytes 5 --history 0", "--history-bytes is for --history only"),
        ("--kept 9", "--kept is for --recover or --start history only"),
        ("--kept 8 --start now", "--kept is for --recover or --start history only"),
        ("--json --raw", "--raw and --json exclude each other"),
        ("--nest --json", None),
        ("--history-bytes 5 --history 1", None),
        ("--kept 8 --start history", None),
        ("--kept 8 --recover", None),
        ("--mean 5", None),
        ("", None),
    ],
)
def test_the_usage_text_says_what_an_option_needs(
    capsys: pytest.CaptureFixture[str], words: str, said: str | None
) -> None:
    assert complaint(capsys, *words.split()) == said


def test_a_config_file_may_have_options_without_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is for several calls of the program."""
    file = ("--config", str(tmp_path / "settings.toml"))
    Path(file[1]).write_text("[publisher]\nnest = true\nraw = true\nrecover = true\n")

    assert complaint(capsys, *file) is None
    assert complaint(capsys, *file, "--json") is None
    assert complaint(capsys, *file, "--kept", "5") is None


def test_an_empty_value_in_a_config_file_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[publisher]\nstart = ''\n")

    said = complaint(capsys, "--config", str(path))
    assert said == f"{path}: start in [publisher]: the value is empty"


def test_a_description_names_options_with_or_without_a_value() -> None:
    by_key = {line.key: line for line in usage_text.option_lines(USAGE)}

    assert by_key["kept"].needed == (("--recover", None), ("--start", "history"))
    assert by_key["mean"].needed == ()
    assert by_key["json"].contradicted == ("--raw",)
    assert by_key["mean"].contradicted == ()

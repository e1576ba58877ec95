"""Completion of options in shells, with the shells themselves where they are present."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pubsub_common.cli import completion, console_script, option_texts

PROGRAM = "pubsub-thing"
USAGE = f"""Do a thing.

Usage:
  {PROGRAM} [options] [-t TOPIC]...

Other commands:
  status    ask for it
  start     begin

Options:
{option_texts.TOPIC_OPTION}
{option_texts.CLIENT_OPTIONS}
  --overflow POLICY               it's [a] "choice": drop or \\ block; $HOME `x`
  -0, --null                      end in zero
  --secure DIR                    a folder
{option_texts.MEASUREMENT_OPTIONS}
{option_texts.VERBOSE_OPTION}
{option_texts.COMMON_END}
"""


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")


def run(argv: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def complete_in_bash(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words. It is asked as its line editor does
    it: through the function that is registered for the program."""
    script = completion.script(PROGRAM, USAGE, "bash")
    ask = """
        read -r _ _ function _ <<< "$(complete -p "$1")"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    need("bash")
    out = run(["bash", "-uc", script + ask, "-", PROGRAM, *words], folder)
    return sorted(out.splitlines()) if out.strip() else []


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config file that the environment names."""
    path = tmp_path / "my settings.toml"
    path.write_text(
        "[common]\ncount = 3  # [context.no]\n[context.lab]\nkeys = 'x'\n"
        " [context.home_2] # there\n"
    )
    monkeypatch.setenv("PUBSUB_CONFIG", str(path))
    return path


def test_bash_completes_long_options(tmp_path: Path) -> None:
    assert complete_in_bash(tmp_path, "--cl") == ["--clock"]
    assert complete_in_bash(tmp_path, "-t", "A", "--bro") == [
        "--broker-address",
        "--broker-port",
    ]
    assert "--null" in complete_in_bash(tmp_path, "-")
    assert complete_in_bash(tmp_path, "word") == []


def test_bash_completes_values(tmp_path: Path) -> None:
    assert complete_in_bash(tmp_path, "--overflow", "") == ["block", "drop"]
    assert complete_in_bash(tmp_path, "--clock", "m") == ["monotonic"]
    assert complete_in_bash(tmp_path, "--clock", "=", "r") == ["realtime"]
    assert complete_in_bash(tmp_path, "--completion", "=") == ["bash", "fish", "zsh"]
    assert complete_in_bash(tmp_path, "--broker-port", "-") == []


def test_bash_completes_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "another").touch()

    assert complete_in_bash(tmp_path, "--details", "a") == ["a file", "another"]


def test_bash_completes_names_of_folders(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    (tmp_path / "another").touch()

    assert complete_in_bash(tmp_path, "--secure", "a") == ["a folder"]


def test_bash_completes_names_of_contexts(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete_in_bash(config.parent, "--context", "") == ["home_2", "lab"]
    assert complete_in_bash(config.parent, "--context", "l") == ["lab"]
    for without in ("/nowhere", None):
        if without is None:
            monkeypatch.delenv("PUBSUB_CONFIG")
        else:
            monkeypatch.setenv("PUBSUB_CONFIG", without)
        assert complete_in_bash(config.parent, "--context", "") == []


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert complete_in_bash(tmp_path, "sta") == ["start", "status"]
    assert complete_in_bash(tmp_path, "status", "sta") == []
    assert complete_in_bash(tmp_path, "--sec") == ["--secure"]


def test_the_tab_key_completes_in_an_interactive_bash(tmp_path: Path) -> None:
    need("bash")
    (tmp_path / "script").write_text(completion.script(PROGRAM, USAGE, "bash"))
    bash = ["bash", "--norc", "--noprofile", "-i"]
    with in_terminal(bash, tmp_path, INPUTRC=os.devnull) as terminal:
        # The terminal echoes the input, so the expected output is spelled differently.
        # Before the prompt, the line editor does not answer a tab.
        ready = b"ready\r\nprompt> "
        answers_with(terminal, b"source ./script; echo rea''dy\n", ready)
        answers_with(terminal, b"pubsub-thing --ov\t", b"--overflow ")
        answers_with(terminal, b"bl\t", b"block ")
        answers_with(terminal, b"--clock=m\t", b"monotonic ")


@contextlib.contextmanager
def in_terminal(shell: Sequence[str], folder: Path, **variables: str) -> Iterator[int]:
    """A shell in a terminal of its own; its descriptor."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        shell,
        cwd=folder,
        env=os.environ | {"PS1": "prompt> ", "TERM": "dumb"} | variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            yield ours
        finally:
            process.kill()
            os.close(ours)


def answers_with(terminal: int, typed: bytes, expected: bytes) -> None:
    """Type some keys, and read until the terminal shows the expected text."""
    os.write(terminal, typed)
    shown = b""
    while expected not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 4096)


def test_fish_offers_options_and_values(config: Path) -> None:
    need("fish")
    script = completion.script(PROGRAM, USAGE, "fish")

    def offers(line: str) -> list[str]:
        out = run(["fish", "--no-config", "-c", f"{script}\ncomplete -C '{line}'"])
        return sorted(line.partition("\t")[0] for line in out.splitlines())

    assert offers(f"{PROGRAM} --cl") == ["--clock"]
    assert offers(f"{PROGRAM} --overflow ") == ["block", "drop"]
    assert offers(f"{PROGRAM} --broker-port ") == []
    assert offers(f"{PROGRAM} --context ") == ["home_2", "lab"]
    assert offers(f"{PROGRAM} sta") == ["start", "status"]


def test_zsh_takes_the_script() -> None:
    need("zsh")
    script = completion.script(PROGRAM, USAGE, "zsh")
    load = "autoload -Uz compinit && compinit -D -u\n"

    out = run(["zsh", "-fc", f"{load}{script}\nprint $_comps[{PROGRAM}]"])

    assert out == "_pubsub_thing\n"


def test_the_tab_key_completes_a_context_in_an_interactive_zsh(config: Path) -> None:
    need("zsh")
    script = completion.script(PROGRAM, USAGE, "zsh")
    (config.parent / "script").write_text(script)
    with in_terminal(["zsh", "-fi"], config.parent) as terminal:
        load = b"autoload -Uz compinit && compinit -D -u; source ./script"
        answers_with(terminal, load + b"; echo rea''dy\n", b"ready\r\n")
        answers_with(terminal, b"pubsub-thing --context l\t", b"ab ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_option_is_in_the_script_of_each_shell(shell: str) -> None:
    script = completion.script(PROGRAM, USAGE, shell)

    for name in ("topic", "broker-port", "overflow", "null", "details", "print-config"):
        assert name in script
    for command in ("status", "start"):
        assert command in script


def test_a_script_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.parse(USAGE, ["--completion", "zsh"], PROGRAM, "1")

    assert end.value.code == console_script.EXIT_OK
    assert capsys.readouterr().out.startswith(f"#compdef {PROGRAM}\n")


def test_a_shell_that_is_not_known_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.parse(USAGE, ["--completion", "tcsh"], PROGRAM, "1")

    assert end.value.code == console_script.EXIT_USAGE
    assert capsys.readouterr().err == (
        f"{PROGRAM}: --completion: 'tcsh' is not one of bash, zsh, fish\n"
    )

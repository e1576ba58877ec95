"""Shell completion scripts, made from usage texts.

The usage text is their only source, so both always agree.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pubsub_common.cli.usage_text import OptionLine, commands, option_lines
from pubsub_common.defaults import CLOCKS, SHARED_MEMORY
from pubsub_common.errors import ConfigError

# The values that an option takes, by what stands for them in usage texts.
FILE: Final = "FILE"
FOLDER: Final = "DIR"
# Its values are the contexts in the config file that `parser.CONFIG_VARIABLE` names. The shell
# reads them, as the file may change.
CONTEXT: Final = "--context"
_CONTEXTS: Final = (
    r"sed -n 's/^ *\[context\.\([A-Za-z0-9_-]*\)\].*/\1/p' "
    '"{variable}" 2> /dev/null'
)
CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "CLOCK": CLOCKS,
    "MODE": SHARED_MEMORY,
    "POLICY": ("drop", "block"),
    "WHEN": ("now", "history"),
    "SHELL": ("bash", "zsh", "fish"),
}


def script(program: str, doc: str, shell: str) -> str:
    """The script for a shell.

    Raises:
        ConfigError: there is none for it.
    """
    makers: dict[str, Callable[[str, Sequence[OptionLine], Mapping[str, str]], str]] = {
        "bash": _bash,
        "zsh": _zsh,
        "fish": _fish,
    }
    if shell not in makers:
        raise ConfigError(f"--completion: {shell!r} is not one of {', '.join(makers)}")
    return makers[shell](program, option_lines(doc), commands(doc))


def _function(program: str) -> str:
    return "_" + re.sub(r"\W", "_", program)


def _names(line: OptionLine) -> tuple[str, ...]:
    return (line.short, line.long) if line.short else (line.long,)


_BASH: Final = """\
# To use it now: source <({program} --completion bash)
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # bash takes the = of --option=value for a word.
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    COMPREPLY=()
    case $before in
{cases}
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W '{options}' -- "$word"))
    elif ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W '{commands}' -- "$word"))
    fi
}}
complete -F {function} {program}"""


def _bash(program: str, lines: Sequence[OptionLine], others: Mapping[str, str]) -> str:
    # Names of files may hold spaces, which bash quotes if it knows.
    paths = (
        "compopt -o filenames 2> /dev/null; "
        'mapfile -t COMPREPLY < <(compgen {} -- "$word")'
    )
    kinds = {FILE: paths.format("-f"), FOLDER: paths.format("-d")}
    replies: dict[str, list[str]] = {}
    for line in lines:
        if line.value is None:
            continue
        reply = kinds.get(line.value)
        if line.long == CONTEXT:
            names = _CONTEXTS.format(variable="${PUBSUB_CONFIG-}")
            reply = f'COMPREPLY=($(compgen -W "$({names})" -- "$word"))'
        elif reply is None:
            choices = " ".join(CHOICES.get(line.value, ()))
            reply = f"COMPREPLY=($(compgen -W '{choices}' -- \"$word\"))"
        replies.setdefault(reply, []).extend(_names(line))
    cases = [
        f"        {'|'.join(names)}) {reply}; return ;;"
        for reply, names in replies.items()
    ]
    return _BASH.format(
        program=program,
        function=_function(program),
        cases="\n".join(cases) or "        '') ;;",
        options=" ".join(line.long for line in lines),
        commands=" ".join(others),
    )


_ZSH: Final = """\
#compdef {program}
# To use it now: source <({program} --completion zsh)
{function}() {{
    _arguments -s \\
{specs}
}}
if [[ ${{funcstack[1]}} == {function} ]]; then
    {function} "$@"
else
    compdef {function} {program}
fi"""


def _zsh(program: str, lines: Sequence[OptionLine], others: Mapping[str, str]) -> str:
    specs = [f"        '1:command:({' '.join(others)})'"] if others else []
    for line in lines:
        names = _names(line)
        # Those that may be repeated are preceded by a star, others exclude themselves.
        before = "*" if line.repeated else f"({' '.join(names)})"
        text = re.sub(r"([\[\]:\\])", r"\\\1", line.text)
        value = ""
        if line.value == FILE:
            value = f":{line.value}:_files"
        elif line.value == FOLDER:
            value = f":{line.value}:_files -/"
        elif line.long == CONTEXT:
            found = _CONTEXTS.format(variable="$PUBSUB_CONFIG")
            value = f":{line.value}:{{compadd -- $({found})}}"
        elif line.value is not None:
            choices = " ".join(CHOICES.get(line.value, ()))
            # An action of a space: there is nothing to offer, not even files.
            value = f":{line.value}:" + (f"({choices})" if choices else " ")
        for name in names:
            # -s: the value may be in the same word, and long ones with an =.
            takes = "" if line.value is None else "=" if name == line.long else "+"
            spec = f"{before}{name}{takes}[{text}]{value}"
            specs.append(f"        {shlex.quote(spec)}")
    return _ZSH.format(
        program=program, function=_function(program), specs=" \\\n".join(specs)
    )


def _fish(program: str, lines: Sequence[OptionLine], others: Mapping[str, str]) -> str:
    out = [
        f"# To use it now: {program} --completion fish | source",
        f"complete -c {program} -f",
    ]
    out += [
        f"complete -c {program} -n __fish_use_subcommand -a {name} -d {_fish_quoted(text)}"
        for name, text in others.items()
    ]
    for line in lines:
        words = ["complete", "-c", program, "-l", line.key]
        if line.short:
            words += ["-s", line.short[1:]]
        if line.value == FILE:
            words += ["-r", "-F"]
        elif line.value == FOLDER:
            words += ["-x", "-a", "'(__fish_complete_directories)'"]
        elif line.long == CONTEXT:
            found = _CONTEXTS.format(variable="$PUBSUB_CONFIG")
            words += ["-x", "-a", _fish_quoted(f"({found})")]
        elif line.value is not None:
            words += ["-x"]
            if choices := CHOICES.get(line.value):
                words += ["-a", f"'{' '.join(choices)}'"]
        out.append(" ".join(words) + f" -d {_fish_quoted(line.text)}")
    return "\n".join(out)


def _fish_quoted(text: str) -> str:
    """Text in quotes, between which a backslash and a quote are special."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"

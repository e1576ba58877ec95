"""Look for phrases that make a text hard to read, and say what to write instead.

    python scripts/phrases.py [PATH ...]

The phrases are in phrases.toml beside this file. It reads every file that git knows: of
Python the comments, docstrings and strings, of other files all text. Files and folders
that are named are checked for all phrases, whether phrases.toml lists them or not.
Exits with 1 when it finds a phrase.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")
KINDS = {".py", ".md", ".toml", ".sh", ".html", ".j2", ".js", ".css", ".yml", ".yaml"}
TEXT_TOKENS = {tokenize.COMMENT, tokenize.STRING} | {
    getattr(tokenize, name)
    for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")
    if hasattr(tokenize, name)
}
CODE = "\x00"
"""Stands for a character of code, so that no phrase reaches across code."""
MARKS = re.compile(
    r"""(?m)^\s*(?:(?:\#+:?|//|\*|>)(?=\s)|[bfr]{0,2}["']{1,3})|["']{1,3}(?=\s*$)"""
)
"""Marks of comments and strings, which a phrase that is wrapped continues after."""


@dataclass(frozen=True)
class Phrase:
    """A phrase to avoid, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


@dataclass(frozen=True)
class Rules:
    """The content of phrases.toml."""

    everywhere: list[Phrase]
    plain: list[Phrase]
    plain_paths: list[str]
    left_out: list[str]

    def of(self, path: str, more: Sequence[str] = ()) -> list[Phrase]:
        """The phrases that the file at `path` must not contain; `more` are plain paths."""
        if _in(path, self.left_out):
            return []
        plain = _in(path, [*self.plain_paths, *more])
        return self.everywhere + (self.plain if plain else [])


def _in(path: str, places: list[str]) -> bool:
    return any(place in (".", path) or path.startswith(f"{place}/") for place in places)


def compiled(phrase: str) -> re.Pattern[str]:
    """The pattern of a phrase: whole words in any case, wrapped at any space."""
    wrapped = phrase.replace(" ", r"\s+")
    return re.compile(rf"\b(?:{wrapped})\b", re.IGNORECASE)


def read_rules(text: str) -> Rules:
    """The rules in the text of phrases.toml."""
    read = tomllib.loads(text)
    everywhere, plain = (
        [Phrase(compiled(each), instead) for each, instead in read[table].items()]
        for table in ("everywhere", "plain")
    )
    return Rules(everywhere, plain, read["plain_paths"], read["left_out"])


def prose_of_python(source: str) -> str:
    """The comments and strings of `source` at their places, and its code blanked."""
    lines = source.splitlines(keepends=True)
    prose = [re.sub(r"\S", CODE, line) for line in lines]
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type not in TEXT_TOKENS:
            continue
        (first, start), (last, end) = token.start, token.end
        for row in range(first, last + 1):
            left = start if row == first else 0
            right = end if row == last else len(lines[row - 1])
            kept = lines[row - 1][left:right]
            prose[row - 1] = prose[row - 1][:left] + kept + prose[row - 1][right:]
    return "".join(prose)


def _hits(text: str, phrases: list[Phrase]) -> list[tuple[int, str, str]]:
    text = MARKS.sub(lambda mark: re.sub(r"\S", " ", mark[0]), text)
    return sorted(
        (hit.start(), hit[0], phrase.instead)
        for phrase in phrases
        for hit in phrase.pattern.finditer(text)
    )


def found(path: str, text: str, phrases: list[Phrase]) -> Iterator[str]:
    """A line for each phrase in `text`, which is the content of the file at `path`."""
    if path.endswith(".py") and _hits(text, phrases):
        text = prose_of_python(text)
    for start, words, instead in _hits(text, phrases):
        line = text.count("\n", 0, start) + 1
        yield f"{path}:{line}: {' '.join(words.split())!r}: {instead}"


def known_files() -> list[str]:
    """The files that git knows, and those that it would add."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [each for each in listed if Path(each).suffix in KINDS]


def main(paths: list[str]) -> int:
    """Print the phrases in `paths`, or in all files, and return the exit code."""
    rules = read_rules(LIST.read_text("utf-8"))
    named = [str(Path(each).resolve().relative_to(ROOT)) for each in paths]
    lines = [
        line
        for path in known_files()
        if not named or _in(path, named)
        if (phrases := rules.of(path, more=named)) and (ROOT / path).is_file()
        for line in found(path, (ROOT / path).read_text("utf-8"), phrases)
    ]
    print("\n".join(lines), end="\n" if lines else "")
    if lines:
        print(f"{len(lines)} phrases to reword (scripts/phrases.toml)", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

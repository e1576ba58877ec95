"""Manual pages, made from usage texts: ``pubsub-publisher --man | man -l -``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pubsub_common.cli import usage_text
from pubsub_common.cli.usage_text import OptionLine, Section

_EXAMPLES: Final = ("Example", "Examples")
_USAGE: Final = "Usage"


def man_page(program: str, doc: str, version: str) -> str:
    """The manual page of a program, in the macros of man(7)."""
    found = usage_text.sections(doc)
    summary = usage_text.summary(doc).rstrip(".")
    title = program.replace(" ", "-").upper()
    out = [
        f'.TH "{title}" 1 "" "pubsub {version}" "pubsub"',
        ".SH NAME",
        _text(f"{program.replace(' ', '-')} - {summary[:1].lower()}{summary[1:]}"),
        ".SH SYNOPSIS",
    ]
    by_title = {each.title: each for each in found}
    for line in by_title[_USAGE].lines:
        out += [".br", _text(line.strip())]
    prose = [each for each in found if each.title is None]
    out += _prose("DESCRIPTION", prose)
    options = [each for each in found if _has_options(each)]
    for each in found:
        if each.title not in (None, _USAGE, *_EXAMPLES) and each not in options:
            out += [f".SH {each.name.upper()}", *_listed(each.lines)]
    if options:
        out.append(".SH OPTIONS")
    for each in options:
        if each.title != "Options":
            out.append(f".SS {each.name}")
        for option in usage_text.option_lines("\n".join(each.lines)):
            out += _option(option)
    for each in found:
        if each.title in _EXAMPLES:
            out += [".SH EXAMPLES", *_listed(each.lines)]
    return "\n".join(out)


def _has_options(section: Section) -> bool:
    return bool(usage_text.option_lines("\n".join(section.lines)))


def _prose(title: str, sections: Sequence[Section]) -> Iterator[str]:
    if sections:
        yield f".SH {title}"
    for each in sections:
        yield ".PP"
        table = each.lines[0].startswith(" ")
        yield from _listed(each.lines) if table else map(_text, each.lines)


def _listed(lines: Sequence[str]) -> list[str]:
    """Lines as they are."""
    return [".nf", *map(_text, lines), ".fi"]


def _option(line: OptionLine) -> Iterator[str]:
    value = "" if line.value is None else rf" \fI{line.value}\fR"
    names = [name for name in (line.short, line.long) if name is not None]
    yield ".TP"
    yield ", ".join(rf"\fB{_escaped(name)}\fR{value}" for name in names)
    default = "" if line.default is None else f" (default: {line.default})"
    yield _text(line.text + default)


def _text(line: str) -> str:
    """A line of text: no letter at its beginning makes it a request."""
    escaped = _escaped(line)
    return r"\&" + escaped if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")

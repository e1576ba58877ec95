"""The report of a sweep folder: figures, Markdown and one HTML page. Shell."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Final

import jinja2

from pubsub_common.errors import ConfigError
from pubsub_perf import __version__, atomic, plots
from pubsub_perf.content import Content, compose
from pubsub_perf.dataset import Dataset, printable, read_dataset
from pubsub_perf.measured import Measured, measure

_MAX_STEM: Final = 100
_MARKDOWN_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~])")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """``files``: what was written. ``warnings``: what its reader should know first."""

    files: tuple[Path, ...]
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """One figure in the report. ``png`` and ``svg`` are relative to it; ``data`` is
    the figure itself, as a data URI."""

    png: str
    svg: str
    data: str
    description: str


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """The figures of one network."""

    network: str
    anchor: str
    pictures: tuple[Picture, ...]


def write_report(folder: Path, out: Path | None = None) -> Report:
    """Write ``plots/``, ``report.md`` and ``report.html`` into ``out``, by default
    the folder itself.

    Raises:
        ConfigError: there is nothing to plot, or ``out`` cannot be written.
    """
    dataset = read_dataset(folder)
    templates = _templates()
    out = folder if out is None else out
    try:
        return _write(dataset, out, templates)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {out}: {error.strerror or error}"
        ) from error


def _write(dataset: Dataset, out: Path, templates: jinja2.Environment) -> Report:
    cells = [measure(cell) for cell in dataset.cells]
    content = compose(cells, dataset.problems)
    (out / "plots").mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    growth = _picture(plots.growth_figure(cells), out, "hosts", files)
    sections = tuple(_sections(cells, out, files))
    words = {
        "title": printable(dataset.folder.resolve().name),
        "content": content,
        "growth": growth,
        "sections": sections,
        "version": __version__,
    }
    for name in ("report.md", "report.html"):
        text = templates.get_template(f"{name}.j2").render(words)
        atomic.write(out / name, text.encode("utf-8", "replace"))
        files.append(out / name)
    return Report(tuple(files), tuple(_warnings(content)))


def _sections(
    cells: Sequence[Measured], out: Path, files: list[Path]
) -> Iterator[Section]:
    stems: set[str] = set()
    for network, group in groupby(cells, key=lambda measured: measured.cell.network):
        stem = _stem(network, stems)
        of_network = list(group)
        drawings = (
            (plots.box_figure(of_network), f"{stem}-box"),
            (plots.ecdf_figure(of_network), f"{stem}-ecdf"),
        )
        pictures = [_picture(drawing, out, name, files) for drawing, name in drawings]
        yield Section(network, stem, tuple(filter(None, pictures)))


def _stem(network: str, taken: set[str]) -> str:
    """A file name for a network, other than those taken; adds it to them."""
    base = (
        re.sub(r"[^A-Za-z0-9.-]+", "_", network)[:_MAX_STEM].strip("._-") or "network"
    )
    stem, number = base, 1
    while stem.lower() in taken:
        number += 1
        stem = f"{base}_{number}"
    taken.add(stem.lower())
    return stem


def _picture(
    drawing: plots.Drawing | None, out: Path, name: str, files: list[Path]
) -> Picture | None:
    if drawing is None:
        return None
    png, svg = plots.save(drawing, out / "plots" / name)
    files += [png, svg]
    encoded = base64.b64encode(svg.read_bytes()).decode()
    return Picture(
        png=png.relative_to(out).as_posix(),
        svg=svg.relative_to(out).as_posix(),
        data=f"data:image/svg+xml;base64,{encoded}",
        description=drawing.description,
    )


def _warnings(content: Content) -> Iterator[str]:
    for name, reason in content.failures:
        yield f"{name} failed: {reason}"
    for name, verdict in content.degraded:
        yield f"{name}: the machine was {verdict}"
    yield from content.problems


def _templates() -> jinja2.Environment:
    folder = resources.files("pubsub_perf") / "templates"
    names = ("report.html.j2", "report.md.j2")
    sources = {name: (folder / name).read_text(encoding="utf-8") for name in names}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=lambda name: bool(name) and str(name).endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = _markdown
    return environment


def _markdown(text: str) -> str:
    """``text`` as Markdown that shows it and does nothing else."""
    one_line = " ".join(text.split())
    escaped = one_line.replace("&", "&amp;").replace("<", "&lt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", escaped)

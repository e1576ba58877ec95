"""A sweep folder, read back: cells and their samples. Shell (reads files).

``DIR/data/<centralized|decentralized>/<network>/subscriber-<index>.csv`` with
``cell.json`` beside. ``DIR`` may also be ``data``, the folder of one model or of one
network, or any folder with latency files. What does not fit is reported as a problem
and never left out in silence.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pubsub_common.errors import ConfigError
from pubsub_perf import cellfile
from pubsub_perf.cellfile import Meta
from pubsub_perf.latencyfile import SubscriberData, is_data_name, read_latencies

MODELS: Final = ("centralized", "decentralized")
UNKNOWN_MODEL: Final = "data"
FAILED: Final = "failed"
DEGRADED: Final = ("strained", "saturated")

# DIR/<repetition>/data/<model>/<network>, and no deeper: someone may point at "/".
_MAX_DEPTH: Final = 4
_HOSTS: Final = re.compile(r"-(\d{1,6})hosts?\b")
_SIZE: Final = re.compile(r"(-d\d+f\d+)?-\d+hosts?.*$")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One model on one network. ``files`` are ordered by subscriber index. None means
    that nobody counted it. ``kind`` is the network's kind, such as ``tree``."""

    folder: Path
    model: str
    network: str
    kind: str
    hosts: int | None
    publishers: int | None
    subscribers: int
    meta: Meta | None
    files: tuple[SubscriberData, ...]
    expected: int | None
    received: int
    lost: int | None
    outcome: str
    reason: str | None
    fidelity: str | None
    fidelity_reason: str | None

    @property
    def latencies(self) -> NDArray[np.float64]:
        """The samples of all subscribers in seconds, one file after the other."""
        if not self.files:
            return np.empty(0)
        return np.concatenate([file.latencies for file in self.files])

    @property
    def failed(self) -> bool:
        return self.outcome == FAILED

    @property
    def degraded(self) -> bool:
        """The emulation could not keep up, so latencies say more about the machine."""
        return self.fidelity in DEGRADED


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """All cells of a folder, by hosts, network and model; and what is wrong."""

    folder: Path
    cells: tuple[Cell, ...]
    problems: tuple[str, ...]


def read_dataset(folder: Path) -> Dataset:
    """Read every cell in ``folder``.

    Raises:
        ConfigError: there is no such folder, or nothing in it that could be shown.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise ConfigError(f"nothing to plot: {folder} {what}")
    data = folder / "data"
    start = data if data.is_dir() else folder
    problems: list[str] = []
    found = list(_cells(start, folder, problems))
    _check_not_empty(folder, found)
    cells = _in_order(list(_distinct(found, folder)))
    return Dataset(folder, tuple(cells), tuple(map(printable, problems)))


def printable(text: str) -> str:
    """``text`` on one line that any output can take."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _check_not_empty(folder: Path, cells: list[Cell]) -> None:
    if any(cell.files for cell in cells):
        return
    if not cells:
        raise ConfigError(f"nothing to plot: no latency files (CSV) in {folder}")
    first = cells[0]
    raise ConfigError(
        f"nothing to plot: no latency files in any of {len(cells)} cells in {folder}; "
        f"{first.model}/{first.network}: {first.outcome}, "
        f"{first.reason or 'no reason recorded'}"
    )


def _in_order(cells: list[Cell]) -> list[Cell]:
    """By hosts, kind, network and model; the cells of a network are neighbours, even
    where they do not agree on its hosts."""
    places: dict[str, tuple[float, str]] = {}
    for cell in cells:
        place = (float("inf") if cell.hosts is None else cell.hosts, cell.kind)
        places[cell.network] = min(place, places.get(cell.network, place))
    return sorted(cells, key=lambda c: (places[c.network], c.network, c.model))


def _cells(
    folder: Path, root: Path, problems: list[str], depth: int = 0
) -> Iterator[Cell]:
    name = folder.relative_to(root).as_posix()
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        problems.append(f"{name}: cannot be read: {error.strerror or error}")
        return
    files = list(_files(entries, root, problems))
    meta, fault = cellfile.read_cell_file(folder / cellfile.NAME)
    if fault:
        problems.append(f"{name}/{cellfile.NAME} {fault}")
    if files or meta is not None or fault:
        cell = _cell(folder, meta, tuple(files))
        problems += [f"{name}: {text}" for text in _contradictions(cell)]
        yield cell
    folders = [e for e in entries if e.is_dir() and not e.name.startswith(".")]
    if depth < _MAX_DEPTH and meta is None:
        for entry in folders:
            yield from _cells(entry, root, problems, depth + 1)
    if folder.parent.name in MODELS and not (files or meta or fault or folders):
        problems.append(f"{name}: neither latency files nor {cellfile.NAME}")


def _files(
    entries: list[Path], root: Path, problems: list[str]
) -> Iterator[SubscriberData]:
    found = []
    for path in entries:
        if not is_data_name(path.name) or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        data = read_latencies(path)
        foreign = data.index is None and not len(data.latencies)
        if foreign and (data.rows or not path.suffix) and not data.unreadable:
            problems.append(f"{name}: holds no latencies, and is not taken as data")
            continue
        problems += [f"{name}: {text}" for text in data.problems()]
        found.append(data)
    yield from sorted(found, key=lambda d: (d.index is None, d.index or 0, d.name))


def _cell(folder: Path, meta: Meta | None, files: tuple[SubscriberData, ...]) -> Cell:
    model, network = _labels(folder.resolve(), meta)
    rows = sum(file.rows for file in files)
    received = cellfile.count(meta, "received")
    received = rows if received is None else received
    expected = cellfile.count(meta, "expected")
    lost = cellfile.count(meta, "lost")
    if lost is None and expected is not None:
        lost = max(0, expected - received)
    in_name = _HOSTS.search(network)
    hosts = cellfile.count(meta, "topology", "hosts")
    fidelity = cellfile.text(meta, "fidelity", "verdict")
    fidelity = fidelity or cellfile.text(meta, "fidelity")
    senders = {publisher for file in files for publisher in file.publishers}
    return Cell(
        folder=folder,
        model=model,
        network=network,
        kind=printable(cellfile.text(meta, "topology", "kind") or _kind(network)),
        hosts=hosts or (int(in_name[1]) if in_name else None),
        publishers=cellfile.size(meta, "hosts", "publishers") or len(senders) or None,
        subscribers=cellfile.size(meta, "hosts", "subscribers")
        or cellfile.size(meta, "subscribers")
        or len(files),
        meta=meta,
        files=files,
        expected=expected,
        received=received,
        lost=lost,
        outcome=printable(cellfile.text(meta, "outcome") or "unknown"),
        reason=cellfile.text(meta, "reason"),
        fidelity=printable(fidelity.strip().lower()) if fidelity else None,
        fidelity_reason=cellfile.text(meta, "fidelity", "reason"),
    )


def _labels(folder: Path, meta: Meta | None) -> tuple[str, str]:
    """Model and network. The folder's place decides; ``cell.json`` fills in."""
    if folder.name in MODELS:
        return folder.name, printable(folder.parent.name) or UNKNOWN_MODEL
    network = printable(folder.name) or UNKNOWN_MODEL
    if folder.parent.name in MODELS:
        return folder.parent.name, network
    named = cellfile.text(meta, "model")
    return named if named in MODELS else UNKNOWN_MODEL, network


def _kind(network: str) -> str:
    return _SIZE.sub("", network) or network


def _contradictions(cell: Cell) -> Iterator[str]:
    """Where the files and ``cell.json`` do not agree."""
    indexes = Counter(file.index for file in cell.files if file.index is not None)
    for index in sorted(i for i, times in indexes.items() if times > 1):
        yield f"has more than one file of subscriber {index}; all are counted"
    meta = cell.meta
    if meta is None:
        return
    for field, label in (("model", cell.model), ("network", cell.network)):
        named = cellfile.text(meta, field)
        if named is not None and named != label:
            yield f"cell.json says {field} {named!r}; the folder's name {label!r} is used"
    rows = sum(file.rows for file in cell.files)
    if cell.files and rows != cell.received:
        yield f"cell.json says {cell.received} received; the files hold {rows} events"
    if cell.expected is not None and cell.expected - cell.received != cell.lost:
        yield (
            f"in cell.json, {cell.expected} expected and {cell.received} received "
            f"do not make {cell.lost} lost"
        )
    if not cell.failed and len(cell.files) < cell.subscribers:
        missing = cell.subscribers - len(cell.files)
        yield f"the files of {missing} of {cell.subscribers} subscribers are missing"


def _distinct(cells: list[Cell], root: Path) -> Iterator[Cell]:
    """Cells with longer network labels where one label would stand for two cells."""
    times = Counter((cell.model, cell.network) for cell in cells)
    twice = {network for (_, network), count in times.items() if count > 1}
    for cell in cells:
        if cell.network in twice:
            parts = cell.folder.relative_to(root).parts
            label = "/".join(p for p in parts if p not in (*MODELS, "data"))
            cell = dataclasses.replace(cell, network=printable(label or cell.network))
        yield cell

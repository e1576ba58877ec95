"""Splits a folder into the scenarios of its experiment.

The cells of a scenario differ only in model, network and run, so they can be compared.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_perf.results.cells import Cell, Dataset

# The name for cells without parameters, beside cells with some.
NO_SCENARIO: Final = "other cells"


def scenarios(dataset: Dataset) -> tuple[Dataset, ...]:
    """A dataset for each scenario, in order of their names; a single dataset without a
    name if there is only one. The first dataset has the problems."""
    by_name: dict[str, list[Cell]] = {}
    for cell in dataset.cells:
        by_name.setdefault(cell.scenario, []).append(cell)
    if len(by_name) <= 1:
        return (dataclasses.replace(dataset, cells=tuple(map(_alone, dataset.cells))),)
    return tuple(
        dataclasses.replace(
            dataset,
            cells=tuple(map(_alone, by_name[name])),
            problems=() if number else dataset.problems,
            scenario=name,
        )
        for number, name in enumerate(sorted(by_name, key=_order))
    )


def _alone(cell: Cell) -> Cell:
    """The cell with a plain network label, without the scenario."""
    return dataclasses.replace(
        cell, network=cell.network.removeprefix(f"{cell.scenario}/")
    )


def _order(name: str) -> list[tuple[str, float, str]]:
    """By parameter, numbers as numbers."""
    found = []
    for part in name.split(","):
        key, _, value = part.partition("=")
        try:
            found.append((key, float(value), ""))
        except ValueError:
            found.append((key, -1.0, value))
    return found

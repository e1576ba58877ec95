"""Splits a folder into the scenarios of its experiment.

Within a scenario cells differ in nothing but model, network and run, so they can be compared.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from pubsub_perf.results.cells import Cell, Dataset

# What those cells are called that name no parameters, beside others that do.
NO_SCENARIO: Final = "other cells"


def scenarios(dataset: Dataset) -> tuple[Dataset, ...]:
    """A dataset for each scenario, in order of their names; all cells in one without a name
    where there is only one. What is wrong stays with the first."""
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
    """A cell whose network need not be told from those of other scenarios."""
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

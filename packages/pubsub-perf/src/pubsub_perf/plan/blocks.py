"""Blocks: what a sweep gives to one machine at once.

A block is the cells that differ in their model alone: both models of one network and run. They
run on one machine, back to back, so that no comparison of models is one of machines.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Final, Self

from pubsub_common.errors import ConfigError
from pubsub_perf.plan.cases import MODELS, Case

# No array of a cluster has more tasks than five digits can say.
_PART: Final = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """The cells of one network and run, in the order in which they run; never empty."""

    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        """``tree-d2f2-4hosts (run 2)``: of all its cells."""
        first = self.cases[0]
        return first.name.replace(f"{first.model}/", "", 1)


def blocks_of(cases: Sequence[Case]) -> list[Block]:
    """The blocks of these cells: in the order of their first cells, and within a block in
    the order of its cells."""
    alike: dict[Case, list[Case]] = {}
    for case in cases:
        alike.setdefault(_without_model(case), []).append(case)
    return [Block(tuple(each)) for each in alike.values()]


def cases_of(blocks: Sequence[Block]) -> list[Case]:
    """The cells of these blocks, in the order in which one machine runs them."""
    return [case for block in blocks for case in block.cases]


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One of ``parts`` shares of a sweep; ``number`` counts from 1."""

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``3/8``, the third of eight.

        Raises:
            ConfigError: it is something else.
        """
        match = _PART.fullmatch(text.strip())
        found = cls(int(match[1]), int(match[2])) if match else None
        if found is None or not 1 <= found.number <= found.parts:
            raise ConfigError(f"part must be like 3/8, the third of eight: {text!r}")
        return found

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, blocks: Sequence[Block]) -> list[Block]:
        """This part's blocks, the same wherever it is asked; all parts together have each
        block once.

        Blocks are dealt out in turn, so that parts differ by one block at most. Where the
        turns come back to where they began, with a network at the machine that had it
        before, they begin with the next part: machines and networks are not confounded.
        """
        networks = {
            dataclasses.replace(_without_model(b.cases[0]), run=1) for b in blocks
        }
        turns = math.lcm(max(len(networks), 1), self.parts)
        return [
            block
            for place, block in enumerate(blocks)
            if (place + place // turns) % self.parts == self.number - 1
        ]


def _without_model(case: Case) -> Case:
    return dataclasses.replace(case, model=MODELS[0])

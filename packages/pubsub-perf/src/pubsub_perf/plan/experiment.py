"""An experiment as a value: which cells it has, how often, and what they must keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pubsub_perf.plan.cases import Case
from pubsub_perf.plan.parameters import PARAMETERS
from pubsub_perf.plan.thresholds import Threshold


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """``cases`` in the order in which they run: a whole round of all cells comes before the
    next, and the models of a network follow each other. ``text`` is the file that says all
    this, ``hosts`` the kind of hosts that it asks for. Parameters of links that are
    ``optional`` are left out where hosts have no links."""

    text: str
    title: str
    hosts: str
    repeats: int
    cases: tuple[Case, ...]
    limits: Mapping[Case, tuple[Threshold, ...]]
    optional: tuple[str, ...] = ()

    def without_links(self) -> Experiment:
        """The experiment for hosts without links: without the parameters of links that are
        ``optional``."""
        fields: dict[str, Any] = {
            PARAMETERS[n].field or "": None for n in self.optional
        }

        def plain(case: Case) -> Case:
            return dataclasses.replace(
                case, load=dataclasses.replace(case.load, **fields)
            )

        return dataclasses.replace(
            self,
            cases=tuple(map(plain, self.cases)),
            limits={plain(case): limits for case, limits in self.limits.items()},
        )

    def thresholds_of(self, case: Case) -> tuple[Threshold, ...]:
        """What the cell that ``case`` is a run of must keep."""
        return self.limits.get(dataclasses.replace(case, run=1), ())

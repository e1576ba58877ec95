"""The choice of faults for each kind of system. All faults in all kinds would take
hours, so each kind has the faults that concern its features most."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from chaos_faults import PROCESS_FAULTS, Fault
from chaos_floods import FLOODS
from chaos_group_faults import GROUP_FAULTS
from chaos_kinds import (
    EVERYTHING,
    FORWARDERS,
    KEYS,
    PLAIN,
    SHARED_MEMORY,
    STRENGTHS,
    WILD_FORWARDERS,
    WILDCARDS,
    Kind,
)
from chaos_network import NETWORK_FAULTS

from pubsub_common.protocol.messages import Model

MODELS: Final[tuple[Model, ...]] = ("centralized", "decentralized")
_FAULTS: Final = {
    fault.name: fault
    for fault in (*PROCESS_FAULTS, *FLOODS, *NETWORK_FAULTS, *GROUP_FAULTS)
}
# The number of runs per kind and fault; the short run does those of `_QUICK` once.
_CHOSEN: Final[Mapping[Kind, Mapping[str, int]]] = {
    KEYS: {
        "broker killed": 2,
        "broker replaced": 1,
        "publisher killed": 2,
        "publisher replaced": 1,
        "several at once": 1,
        "subscriber killed": 1,
        "subscriber stopped": 1,
        "connections flood": 1,
        "link cut": 1,
        "one of three brokers killed": 1,
        "one of three brokers stopped": 1,
    },
    WILDCARDS: {
        "broker killed": 2,
        "broker stopped": 1,
        "broker and publisher killed": 1,
        "publisher killed": 2,
        "publisher given up": 1,
        "several at once": 1,
        "subscriber stopped": 1,
        "link cut": 1,
        "one of three brokers killed": 1,
        "one of three brokers cut off": 1,
        "several of a group at once": 1,
    },
    STRENGTHS: {
        "broker killed": 2,
        "broker and publisher killed": 1,
        "publisher killed": 2,
        "publisher given up": 1,
        "publisher replaced": 2,
        "publisher stopped": 2,
        "several at once": 1,
        "subscriber killed": 1,
        "link cut": 1,
        "network parted": 1,
        "one of three brokers killed": 2,
        "one of three brokers stopped": 1,
        "a broker of three and a publisher killed": 2,
    },
    FORWARDERS: {
        "broker killed": 2,
        "publisher killed": 1,
        "subscriber stopped": 1,
        "link cut": 1,
    },
    WILD_FORWARDERS: {
        "broker killed": 2,
        "broker stopped": 1,
        "publisher killed": 1,
        "publisher given up": 1,
        "one of three brokers killed": 2,
        "several of a group at once": 1,
    },
    EVERYTHING: {
        "broker killed": 2,
        "broker and publisher killed": 1,
        "publisher killed": 2,
        "publisher replaced": 1,
        "several at once": 1,
        "subscriber stopped": 1,
        "link cut": 1,
        "one of three brokers killed": 1,
        "several of a group at once": 1,
        "broker killed, another one stands by": 1,
    },
    SHARED_MEMORY: {
        "broker killed": 1,
        "publisher killed": 3,
        "publisher stopped": 2,
        "several at once": 2,
        "subscriber killed": 3,
        "subscriber stopped": 2,
    },
}
_QUICK: Final = ((EVERYTHING, "broker killed"), (STRENGTHS, "publisher killed"))


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """``times`` None: the fault's own number."""

    fault: Fault
    model: Model
    kind: Kind = PLAIN
    times: int | None = None

    def __str__(self) -> str:
        kind = f"{self.kind.name}-" if self.kind.name else ""
        return f"{kind}{self.fault.name}-{self.model}"


def scenarios(*, full: bool) -> Sequence[Scenario]:
    """All, or the short run."""
    plain = [
        Scenario(fault, model)
        for fault in _FAULTS.values()
        for model in MODELS
        if full or fault.quick
    ]
    others = [
        Scenario(_FAULTS[name], model, kind, times if full else 1)
        for kind, names in _CHOSEN.items()
        for name, times in names.items()
        for model in kind.models
        if full or (kind, name) in _QUICK
    ]
    return [*plain, *others]

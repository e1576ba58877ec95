"""The publisher passes some scenarios of the conformance tool. `tests/system/test_conformance.py`
tries them all."""

from __future__ import annotations

import pytest
from support.conformance import failures, outcomes

from pubsub_common.testing.conformance.runner import scenarios_of


@pytest.mark.parametrize("name", ["publishes", "ends", "ready-answer", "farewell"])
def test_it_passes(name: str) -> None:
    found = outcomes("publisher", scenarios_of("publisher", [name]))
    assert not failures(found), failures(found)

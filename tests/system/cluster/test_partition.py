"""The network is split, with a broker and clients on one side, and the others and etcd
on the other: both sides continue, and afterwards every event was received or reported
lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chaos_network import GROUP_PARTED, run_in_namespaces

from pubsub_common.protocol.messages import Model

from .conftest import size


def test_a_group_is_parted_and_heals(model: Model, tmp_path: Path) -> None:
    if reason := GROUP_PARTED.unavailable():
        if os.environ.get("CI"):
            pytest.fail(f"cannot be done in CI: {reason}")
        pytest.skip(f"cannot be done here: {reason}")

    result = run_in_namespaces(GROUP_PARTED, model, tmp_path, times=size(1, 3))

    assert result.problems == []
    assert (result.unexplained, result.lost) == (0, 0)
    assert result.received > 0

"""Files that belong to no living node."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pubsub_common.shared_memory.leftovers import remove_leftovers

PREFIX = "p_"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Two nodes, of which one has no monitor: its process was killed, and so was the one
    that removed its files."""
    folder = tmp_path / "own"
    for node, port, service in (("1", "11", "aa"), ("2", "22", "bb")):
        tags = folder / "nodes" / node
        tags.mkdir(parents=True)
        (tags / f"{PREFIX}{port}.port_tag").touch()
        (tags / f"{PREFIX}{service}.service_tag").touch()
        services = folder / "services"
        services.mkdir(exist_ok=True)
        number = f"payload_value = {port}\nunique_value = 1"
        text = f"[unique_service_id]\n{number}\n"
        (services / f"{PREFIX}{service}.service").write_text(text)
        (tmp_path / f"{PREFIX}x_{2**64 + int(port)}.dynamic").touch()
        (tmp_path / f"{PREFIX}x_{port}.data").touch()
    (folder / "nodes" / f"{PREFIX}1.node_monitor").touch()
    (folder / "nodes" / f"{PREFIX}2.node_monitor_context").touch()
    (tmp_path / f"{PREFIX}x_11_22.connection").touch()
    (tmp_path / f"{PREFIX}x_22_33.connection").touch()
    (tmp_path / f"{PREFIX}x_node.0_10_0.global_mgmt").touch()
    (tmp_path / "x_22.data").touch()
    return tmp_path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_those_of_living_nodes_and_of_others_stay(memory: Path) -> None:
    before = names(memory)
    old = time.time() - 60
    for path in memory.rglob("*"):
        os.utime(path, (old, old))
    remove_leftovers(memory / "own", memory, PREFIX)
    assert before - names(memory) == {
        "own/nodes/2",
        f"own/nodes/2/{PREFIX}22.port_tag",
        f"own/nodes/2/{PREFIX}bb.service_tag",
        f"own/nodes/{PREFIX}2.node_monitor_context",
        f"own/services/{PREFIX}bb.service",
        f"{PREFIX}x_{2**64 + 22}.dynamic",
        f"{PREFIX}x_22.data",
        f"{PREFIX}x_22_33.connection",
    }


def test_young_files_may_belong_to_a_node_that_begins(memory: Path) -> None:
    before = names(memory)
    remove_leftovers(memory / "own", memory, PREFIX)
    assert names(memory) == before

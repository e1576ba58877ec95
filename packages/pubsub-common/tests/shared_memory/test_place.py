"""Which processes may share memory."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from pubsub_common.shared_memory.place import place_for, place_id

_CODE = "from pubsub_common.shared_memory.place import place_id; print(place_id())"


def test_processes_side_by_side_have_the_same_place() -> None:
    run = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True)
    assert run.stdout.strip() == str(place_id())


def test_another_network_namespace_is_another_place() -> None:
    argv = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        sys.executable,
        "-c",
        _CODE,
    ]
    try:
        run = subprocess.run(argv, capture_output=True, text=True)
    except OSError:
        pytest.skip("needs unshare")
    if run.returncode:
        pytest.skip(f"needs user namespaces: {run.stderr}")
    assert run.stdout.strip() not in ("", "None", str(place_id()))


def test_the_option_decides_where_the_extra_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: found)
    assert place_for("auto", secure=False) == place_for("on", secure=True) == place_id()
    assert place_for("auto", secure=True) is place_for("off", secure=False) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert place_for("on", secure=False) is None

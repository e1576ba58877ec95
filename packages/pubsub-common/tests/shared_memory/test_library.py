"""The library is loaded without the package around it, which a program may use too."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("iceoryx2", reason="needs the extra pubsub-publisher[shm]")

from pubsub_common.shared_memory import library
from pubsub_common.shared_memory.library import Library, SharedMemoryError

LOAD = """
import sys
from pubsub_common.shared_memory.library import library
module = library().module
print(sorted({"flatbuffers", "iceoryx2", "numpy"} & set(sys.modules)))
import iceoryx2
print(iceoryx2.NodeBuilder is module.NodeBuilder, hasattr(iceoryx2.Publisher, "loan_slice_uninit"))
"""


def test_only_the_compiled_module_is_loaded_and_the_package_can_follow() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == ["[]", "True True"]


def test_a_missing_library_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_COMPILED", "iceoryx2._none")
    with pytest.raises(SharedMemoryError, match="cannot be imported: it is not"):
        Library()


def test_a_library_without_a_needed_method_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library, "LOAN", "__none")
    with pytest.raises(SharedMemoryError, match="has no __none"):
        Library()


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_VERSIONS", ("0.9.",))
    with pytest.raises(SharedMemoryError, match=r"iceoryx2 0\.10\..* is not"):
        Library()

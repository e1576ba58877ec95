"""Keys for measurements: a broker's, and one pair for each role.

Each role process is a client of its own, as in a real system: a broker then names to publishers
as many keys as there are subscribers, which one key for all would hide.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pubsub_common.errors import ConfigError
from pubsub_perf.hosts.interface import script
from pubsub_perf.plan.cases import Case


class RoleKeys:
    """A folder as ``pubsub-broker keygen`` makes it, for roles by their names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def broker_words(self) -> list[str]:
        """What tells a broker of its keys."""
        return ["--secure", str(self.folder)]

    def client(self, name: str) -> Path:
        """The file of keys of a role."""
        return self.folder / f"{name}.keys"

    def client_words(self, name: str) -> list[str]:
        """What tells a publisher or subscriber of its keys."""
        return ["--keys", str(self.client(name))]


def make_keys(folder: Path, names: Iterable[str]) -> RoleKeys:
    """Make keys for a broker and the roles of these names in ``folder``.

    Raises:
        ConfigError: they cannot be made, or exist already.
    """
    made = subprocess.run(
        [script("pubsub-broker"), "keygen", str(folder), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise ConfigError(f"cannot make keys: {made.stderr.strip()}")
    return RoleKeys(folder)


@contextmanager
def keys_for(cases: Iterable[Case]) -> Iterator[RoleKeys | None]:
    """Keys for all roles of those cases that are secure, outside of any results, and
    gone at the end; None when no case is."""
    names = dict.fromkeys(
        name
        for case in cases
        if case.load.secure
        for name in (
            *(f"publisher-{i}" for i in range(len(case.placement.publishers))),
            *(f"subscriber-{i}" for i in range(len(case.placement.subscribers))),
        )
    )
    if not names:
        yield None
        return
    # An absolute path: roles run in the folders of their cells. The files belong to the user who
    # runs the sweep, and so do the roles, in private namespaces too.
    with tempfile.TemporaryDirectory(prefix="pubsub-perf-keys-") as folder:
        yield make_keys(Path(folder).resolve(), names)

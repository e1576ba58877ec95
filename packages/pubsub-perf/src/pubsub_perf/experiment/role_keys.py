"""Keys for measurements: a pair for the broker and for each role.

Each role process has its own key, as in a real system: the broker then sends the keys of all
subscribers to publishers. A shared key would hide this cost.
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
    """A folder like one from ``pubsub-broker keygen``, with keys by role name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def broker_words(self) -> list[str]:
        """The options for a broker's keys."""
        return ["--secure", str(self.folder)]

    def client(self, name: str) -> Path:
        """The key file of a role."""
        return self.folder / f"{name}.keys"

    def client_words(self, name: str) -> list[str]:
        """The options for the keys of a publisher or subscriber."""
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
    """Keys for all roles of secure cases, in a temporary folder until the end of the block;
    None if no case is secure."""
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
    # An absolute path, because roles run in the folders of their cells. Files and roles belong to
    # the user of the sweep, also in private namespaces.
    with tempfile.TemporaryDirectory(prefix="pubsub-perf-keys-") as folder:
        yield make_keys(Path(folder).resolve(), names)

"""The files of a report that are served over HTTP.

Only names that `plot` and `analyze` give to what they write lead to a file, and only if
that lies in the folder; so nothing else of the folder, or of the machine, is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pubsub_common.errors import ConfigError
from pubsub_common.net.http_server import Response

# The first that is there is what the folder itself shows.
PAGES: Final = ("report.html", "analysis.html")
_NAMES: Final = re.compile(
    r"report\.(?:html|md)|analysis\.(?:html|md|json)|plots/\w[\w.-]*\.(?:png|svg)"
)
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
# The pages say themselves which style and script of theirs may be used, by hashes; a
# figure has its style in it.
_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_POLICY: Final = f"{_POLICY}; script-src 'unsafe-inline'"


class ReportFiles:
    """The report in ``folder``, by the paths of URLs. What is written anew is seen."""

    def __init__(self, folder: Path) -> None:
        """Raises:
        ConfigError: there is none.
        """
        self._folder = folder
        if self._page() is None:
            raise ConfigError(
                f"no report in {folder}; `pubsub-perf plot {folder}` writes one"
                if folder.is_dir()
                else f"no report in {folder}: there is no such folder; `pubsub-perf "
                "sweep` makes one, and `pubsub-perf plot` the report in it"
            )

    def get(self, path: str) -> Callable[[], Response] | None:
        """What answers a question for ``path``; None where nothing is to be shown."""
        name = unquote(path).removeprefix("/") or self._page()
        if name is None or not _NAMES.fullmatch(name):
            return None
        file = self._folder / name
        try:
            if not file.resolve().is_relative_to(self._folder.resolve()):
                return None
            body = file.read_bytes()
        except OSError:
            return None
        policy = _PAGE_POLICY if file.suffix == ".html" else _POLICY
        return partial(Response, _TYPES[file.suffix], body, policy)

    def _page(self) -> str | None:
        return next((name for name in PAGES if (self._folder / name).is_file()), None)

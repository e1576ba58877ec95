"""The files of a report that are served over HTTP.

Only file names of `plot` and `analyze` are served, and only plain files in the folder;
so no other file of the folder or the machine is served.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pubsub_common.errors import ConfigError
from pubsub_common.files import NotReadable, opened, read_file
from pubsub_common.net.http_server import Response
from pubsub_perf.folder_files import MAX_PAGE_BYTES

# The first existing file is shown for the folder itself.
PAGES: Final = ("report.html", "analysis.html")
_NAMES: Final = re.compile(
    r"(?:scenarios/\w[\w.-]*/)?"
    r"(?:report\.(?:html|md)|analysis\.(?:html|md|json)|plots/\w[\w.-]*\.(?:png|svg))"
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
    """The report in ``folder``, by the paths of URLs. Changed files are served at once."""

    def __init__(self, folder: Path) -> None:
        """Raises:
        ConfigError: there is no report.
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
            body = read_file(file, MAX_PAGE_BYTES, within=self._folder)
        except (OSError, NotReadable):
            return None
        policy = _PAGE_POLICY if file.suffix == ".html" else _POLICY
        return partial(Response, _TYPES[file.suffix], body, policy)

    def left_out(self) -> Iterator[str]:
        """Messages about files with the names of a report that are not served."""
        places = ("*", "plots/*", "scenarios/*/*", "scenarios/*/plots/*")
        for path in sorted(p for place in places for p in self._folder.glob(place)):
            name = path.relative_to(self._folder).as_posix()
            if _NAMES.fullmatch(name) and (why := self._why_not(name)):
                yield f"{name} is left out: {why}"

    def _page(self) -> str | None:
        return next((name for name in PAGES if self._why_not(name) is None), None)

    def _why_not(self, name: str) -> str | None:
        try:
            with opened(self._folder / name, MAX_PAGE_BYTES, within=self._folder):
                return None
        except NotReadable as error:
            return error.reason
        except OSError as error:
            return error.strerror or str(error)

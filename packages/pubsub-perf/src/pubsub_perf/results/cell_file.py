"""Reads ``cell.json``, the record of one cell.

An older or damaged file must not stop a report: its faults become messages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from pubsub_common.files import NotReadable, read_file
from pubsub_perf.folder_files import MAX_RECORD_BYTES
from pubsub_perf.results.cell_fields import Meta

NAME: Final = "cell.json"
FORMAT: Final = 1


def read_cell_file(path: Path, root: Path) -> tuple[Meta | None, str | None]:
    """The content of a file in the folder ``root``, and its fault;
    ``(None, None)`` without a file."""
    try:
        data = read_file(path, MAX_RECORD_BYTES, within=root)
        content = json.loads(data.decode("utf-8-sig"))
    except FileNotFoundError:
        return None, None
    except NotReadable as error:
        return None, f"is left out: {error.reason}"
    except OSError as error:
        return None, f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON, and is ignored: {error}"
    if not isinstance(content, dict):
        return None, "holds no JSON object, and is ignored"
    if content.get("format") != FORMAT:
        known = f"is of format {content.get('format')!r}, not {FORMAT}"
        return content, f"{known}: read as far as understood"
    return content, None

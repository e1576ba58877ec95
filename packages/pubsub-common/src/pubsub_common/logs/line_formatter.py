"""Formats log records as lines for people."""

from __future__ import annotations

import logging
from typing import Final

from pubsub_common.logs.text_line import PLAIN, LineStyle, text_line
from pubsub_common.text.printable import cut, printable

# Lines of a traceback begin with it, and no log line does.
_INDENT: Final = "    "


class LineFormatter(logging.Formatter):
    """Formats a record as one line (`text_line`). Indented lines with a traceback may follow.
    A record that has ``fields`` is a JSON object here, too."""

    def __init__(self, program: str, style: LineStyle = PLAIN) -> None:
        super().__init__()
        self._program = program
        self._line_style = style

    def format(self, record: logging.LogRecord) -> str:
        """The line, followed by the lines of a traceback."""
        fields = getattr(record, "fields", None)
        if fields is not None:
            # Imported here, because most programs never log JSON.
            from pubsub_common.logs.json_formatter import json_record

            return json_record(record, fields)
        lines = [
            text_line(
                self._program,
                record.getMessage(),
                record.levelname,
                self._line_style,
                record.created,
            )
        ]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += [_INDENT + printable(cut(line)) for line in trace.split("\n")]
        return "\n".join(lines)

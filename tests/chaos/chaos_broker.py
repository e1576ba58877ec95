"""Worker: `pubsub-broker` with a wall clock that can be stepped."""

from __future__ import annotations

import sys

import chaos_clock  # noqa: F401 - it must be the first

from pubsub_broker.cli import main

if __name__ == "__main__":
    sys.exit(main())

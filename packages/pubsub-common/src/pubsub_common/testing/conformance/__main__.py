"""``python -m pubsub_common.testing.conformance``."""

from __future__ import annotations

import sys

from pubsub_common.testing.conformance.cli import main

sys.exit(main())

"""``python -m pubsub_perf``."""

import sys

from pubsub_perf.cli import main

sys.exit(main())

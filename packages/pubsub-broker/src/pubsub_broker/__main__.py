"""``python -m pubsub_broker``."""

import sys

from pubsub_broker.cli import main

sys.exit(main())

"""``python -m pubsub_publisher``."""

import sys

from pubsub_publisher.cli import main

sys.exit(main())

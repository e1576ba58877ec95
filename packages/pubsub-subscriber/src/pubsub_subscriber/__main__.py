"""``python -m pubsub_subscriber``."""

import sys

from pubsub_subscriber.cli import main

sys.exit(main())

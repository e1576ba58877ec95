"""Settings of the tests here, and their helpers' place."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

sys.path.insert(0, str(Path(__file__).parent))

# Never fail for being slow on a busy machine.
settings.register_profile(
    "pubsub",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    # Of a failure with many steps the explanation takes longer than a test may.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)
settings.load_profile("pubsub")

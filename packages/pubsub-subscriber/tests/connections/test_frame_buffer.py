"""Memory for frames that nobody uses costs nothing."""

from __future__ import annotations

import subprocess
import sys

_FORKS_WITH_MANY = """
import os
from pubsub_subscriber.connections.frame_buffer import FrameBuffer
buffers = [FrameBuffer() for _ in range(200)]
child = os.fork()
if child == 0:
    os._exit(0)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_program_with_many_subscribers_can_fork() -> None:
    subprocess.run([sys.executable, "-c", _FORKS_WITH_MANY], check=True, timeout=60)

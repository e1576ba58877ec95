"""libzmq's proxy as a process: ``python -m pubsub_perf.bench.proxy PUBLISHER_PORT PORT``."""

from __future__ import annotations

import contextlib
import signal
import sys

import zmq


def main() -> None:
    publisher, port = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    context = zmq.Context()
    xsub, xpub = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    for socket in (xsub, xpub):
        socket.set_hwm(0)
    xpub.bind(f"tcp://127.0.0.1:{port}")
    xsub.connect(f"tcp://127.0.0.1:{publisher}")
    with contextlib.suppress(KeyboardInterrupt):
        zmq.proxy(xsub, xpub)


if __name__ == "__main__":
    main()

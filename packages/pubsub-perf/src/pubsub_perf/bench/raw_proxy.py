"""libzmq's proxy as a process: ``python -m pubsub_perf.bench.raw_proxy PUBLISHER_PORT PORT``,
and ``--secure DIR`` for one with keys."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

import zmq

from pubsub_common.security.keys import (
    configure_curve_client,
    configure_curve_server,
    load_client_keys,
)


def use_keys(xsub: zmq.Socket[bytes], xpub: zmq.Socket[bytes], folder: Path) -> None:
    """Publisher, proxy and subscribers share the one client's keys in ``folder``."""
    files = folder.glob("*.keys")
    (client,) = (path for path in files if path.name != "broker.keys")
    pair = load_client_keys(client).pair
    configure_curve_server(xpub, pair)
    configure_curve_client(xsub, pair, pair.public)


def main() -> None:
    publisher, port, *secure = sys.argv[1:]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    context = zmq.Context()
    xsub, xpub = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    for socket in (xsub, xpub):
        socket.set_hwm(0)
    if secure:
        use_keys(xsub, xpub, Path(secure[1]))
    xpub.bind(f"tcp://127.0.0.1:{port}")
    xsub.connect(f"tcp://127.0.0.1:{publisher}")
    with contextlib.suppress(KeyboardInterrupt):
        zmq.proxy(xsub, xpub)


if __name__ == "__main__":
    main()

"""A Zenoh router: ``python -m pubsub_perf.bench.zenoh_router PORT``. Shell."""

from __future__ import annotations

import signal
import sys

from pubsub_perf.bench.systems.peer_zenoh import open_session


def main() -> None:
    stop = {signal.SIGTERM, signal.SIGINT}
    # Before its threads start, so that they leave these signals to the wait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with open_session("router", listen=int(sys.argv[1])):
        signal.sigwait(stop)


if __name__ == "__main__":
    main()

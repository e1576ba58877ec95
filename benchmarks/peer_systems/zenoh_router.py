"""A Zenoh router: ``python -m peer_systems.zenoh_router PORT``."""

from __future__ import annotations

import signal
import sys

from peer_systems.zenoh import open_session


def main() -> None:
    stop = {signal.SIGTERM, signal.SIGINT}
    # Before its threads start, so that they leave these signals to the wait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with open_session("router", listen=int(sys.argv[1])):
        signal.sigwait(stop)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Shows that libzmq may never end a context, which `pubsub_common.net.contexts.terminate_context`
allows for.

An XPUB socket has messages waiting for a peer that does not read. The peer's process ends,
and at the same moment the socket is closed and its context terminated: in about one of
some hundred times (libzmq 4.3.5, two cores, several copies of this script at once) the
termination never returns. Usage: libzmq_term_hang.py [ROUNDS]
"""

from __future__ import annotations

import sys
import threading

import zmq

MESSAGES, BULK = 1500, bytes(20_000)
WAIT_S = 20.0


def main(rounds: int) -> int:
    for number in range(rounds):
        ours: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        theirs: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        source, peer = ours.socket(zmq.XPUB), theirs.socket(zmq.XSUB)
        source.set_hwm(0)
        port = source.bind_to_random_port("tcp://127.0.0.1")
        peer.set_hwm(10)
        peer.send(b"\1A")
        peer.connect(f"tcp://127.0.0.1:{port}")
        source.recv()  # the subscription
        for _ in range(MESSAGES):
            source.send(b"A" + BULK)
        peer.close(linger=0)
        source.close(linger=0)
        ending = threading.Thread(target=ours.term, daemon=True)
        ending.start()
        ending.join(WAIT_S)
        if ending.is_alive():
            print(f"round {number + 1}: zmq_ctx_term has not returned for {WAIT_S:g} s")
            return 1
        theirs.term()
    print(f"zmq_ctx_term returned in all {rounds} rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))

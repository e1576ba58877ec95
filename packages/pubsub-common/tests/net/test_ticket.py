from __future__ import annotations

import threading

from pubsub_common.net.ticket import Ticket


def test_the_first_call_gets_it() -> None:
    ticket = Ticket()

    assert not ticket.taken
    assert ticket.take()
    assert ticket.taken
    assert not ticket.take()


def test_of_many_threads_one_gets_it() -> None:
    ticket, together, got = Ticket(), threading.Barrier(8), []

    def take() -> None:
        together.wait()
        got.append(ticket.take())

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got) == [False] * 7 + [True]

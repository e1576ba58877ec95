"""What an error of the broker means, by what the client has asked."""

from __future__ import annotations

from pubsub_common.client.open_requests import OpenRequests, Verdict
from pubsub_common.protocol import messages
from pubsub_common.protocol.messages import Error

UNASKED = -1


def test_an_error_that_answers_nothing_means_nothing() -> None:
    requests = OpenRequests()
    earlier = requests.registration()
    requests.registration()

    error = Error(id=earlier, code=messages.NOT_ALLOWED, detail="")

    assert requests.judge(error, registered=False) is Verdict.NOTHING
    assert requests.registering


def test_a_refused_registration_has_its_answer() -> None:
    requests = OpenRequests()
    number = requests.registration()

    error = Error(id=number, code=messages.TOO_FAST, detail="")

    assert requests.judge(error, registered=False) is Verdict.POSTPONED
    assert not requests.registering


def test_what_the_broker_could_not_read_is_what_was_asked_last() -> None:
    requests = OpenRequests()
    unread = Error(id=UNASKED, code=messages.MALFORMED, detail="")

    requests.registration()
    assert requests.judge(unread, registered=False) is Verdict.REFUSED
    assert requests.judge(unread, registered=False) is Verdict.NOTHING

    requests.heartbeat()
    assert requests.judge(unread, registered=True) is Verdict.HEARTBEAT_REFUSED
    assert requests.judge(unread, registered=True) is Verdict.NOTHING


def test_a_second_refused_heartbeat_ends_it_unless_one_was_served() -> None:
    requests = OpenRequests()

    def refused() -> Verdict:
        error = Error(id=requests.heartbeat(), code=messages.NOT_ALLOWED, detail="")
        return requests.judge(error, registered=True)

    assert refused() is Verdict.HEARTBEAT_REFUSED
    requests.heartbeat_served()
    assert refused() is Verdict.HEARTBEAT_REFUSED
    assert refused() is Verdict.ENDED

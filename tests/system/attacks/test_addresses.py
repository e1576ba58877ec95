"""Publishers at addresses of other hosts."""

from __future__ import annotations

from support.attack_rows import attack
from support.hostile_system import HostileSystem, check_served, open_files
from support.rings import full_size

from pubsub_common.protocol import messages
from pubsub_common.testing import wait_for


def refusal_of(system: HostileSystem, address: str) -> messages.Error:
    reply = system.talker().ask(system.registration("publisher", "A", address=address))
    assert isinstance(reply, messages.Error)
    return reply


@attack(
    what="a publisher at a port of the broker itself",
    got="`bad_address`",
)
def test_a_publisher_at_the_brokers_own_port(hostile: HostileSystem) -> None:
    broker = hostile.broker("--allow-foreign-addresses")
    alice = hostile.publishers("A")
    ports = [hostile.port]
    if hostile.centralized:
        ports.append(hostile.data_port(alice)[0])

    for port in ports:
        error = refusal_of(hostile, f"127.0.0.1:{port}")
        assert error.code == messages.BAD_ADDRESS
        assert "a port of the broker itself" in error.detail
    assert broker.end() == 0


@attack(
    what="a publisher at the address of another host, so that all subscribers connect "
    "there",
    got="`bad_address`",
    bound="`--allow-foreign-addresses`",
)
def test_a_publisher_at_another_host(hostile: HostileSystem) -> None:
    broker = hostile.broker()

    for address in ("192.0.2.1:80", "10.255.255.1:22", "255.255.255.255:9"):
        error = refusal_of(hostile, address)
        assert error.code == messages.BAD_ADDRESS
    broker.says("--allow-foreign-addresses")
    assert broker.end() == 0


def test_a_broker_may_be_told_to_take_other_hosts(hostile: HostileSystem) -> None:
    hostile.broker("--allow-foreign-addresses")

    talker = hostile.talker()

    talker.registered(hostile.registration("publisher", "A", address="192.0.2.1:80"))


@attack(
    what="thousands of publishers at ports without a listener",
    got="limited per address; a subscriber has {files} files open, and the "
    "broker {broker_files}",
    bound="`PUBLISHERS_PER_ADDRESS`",
)
def test_publishers_where_nothing_listens(hostile: HostileSystem) -> None:
    count = 3000 if full_size() else 700
    broker = hostile.broker("--lease", 300)
    heart = hostile.heart()
    alice = hostile.publishers("A", rate=50)
    bob = hostile.subscribers("A")
    talker = hostile.talker()
    answers = []
    for number in range(count):
        request = hostile.registration(
            "publisher", "A", address=f"127.0.0.1:{number + 1}"
        )
        answers.append(talker.ask(request))

    refused = [reply for reply in answers if isinstance(reply, messages.Error)]
    assert len(refused) >= count - 200
    assert {error.code for error in refused} <= {
        messages.TOO_MANY,
        messages.BAD_ADDRESS,
    }
    # Events of honest clients arrive, and no role runs out of files.
    bob.figures()
    wait_for(lambda: bob.figures(keep=True)["received"] > 50, "events of alice")
    check_served(heart)
    hostile.figures.count("files", open_files(bob.pid))
    hostile.figures.count("broker_files", open_files(broker.pid))
    assert alice.alive
    assert broker.end() == 0

"""Several centralized brokers: each topic comes from some of them, and subscribers
learn from which, also after a change."""

from __future__ import annotations

import pytest
from support.core_group import CoreGroup, CoreOfGroup

from pubsub_common.defaults import SPREAD_DELAY_S
from pubsub_common.protocol.messages import PublishersChanged, TopicPort

TOPICS = tuple(f"topic/{number}" for number in range(24))


@pytest.fixture
def group() -> CoreGroup:
    return CoreGroup("centralized", brokers=3)


class Told:
    """A subscriber at a broker, and the places of its topics."""

    def __init__(self, group: CoreGroup, broker: CoreOfGroup, *topics: str) -> None:
        self.group, self.broker, self.topics = group, broker, topics
        self.peer = b"subscriber %d" % next(group.ids)
        reply = broker.registered(self.peer, "subscriber", topics)
        self.session, self.ports = reply.session, dict(reply.ports)

    def follow(self) -> int:
        """Read the pushes; returns the number of topics with a new place."""
        self.group.pass_time(0.1)
        moved = 0
        for push in self.broker.take(self.peer, PublishersChanged):
            moved += len(push.ports)
            for topic, port in push.ports.items():
                assert self.ports[topic] != port
            self.ports.update(push.ports)
        return moved

    def endpoints(self) -> dict[str, str]:
        """``host:port`` of each topic."""
        return {topic: self._endpoint(port) for topic, port in self.ports.items()}

    def _endpoint(self, port: TopicPort) -> str:
        if isinstance(port, str):
            return port
        return f"{self.broker.address.rpartition(':')[0]}:{port}"


def forwarding(broker: CoreOfGroup) -> str:
    return f"10.0.1.{broker.epoch}:{7000 + broker.epoch}"


def test_topics_of_few_are_at_one_broker_whoever_asks(group: CoreGroup) -> None:
    subscribers = [Told(group, broker, *TOPICS) for broker in group.brokers]
    for each in subscribers:
        each.follow()

    first, second, third = (each.endpoints() for each in subscribers)
    assert first == second == third
    assert set(first.values()) == {forwarding(broker) for broker in group.brokers}
    # For topics of its own broker, a subscriber gets a port.
    for each in subscribers:
        assert {p for p in each.ports.values() if isinstance(p, int)} == {
            7000 + each.broker.epoch
        }


def test_brokers_are_attached_to_what_a_subscriber_wants_that_may_come(
    group: CoreGroup,
) -> None:
    one, two, _ = group.brokers
    two.registered(b"p", "publisher", TOPICS[:3])
    assert [broker.attached for broker in group.brokers] == [[], [], []]

    subscriber = Told(group, one, TOPICS[0])

    address = ["10.0.0.1:5556"]
    assert [broker.attached for broker in group.brokers] == [address] * 3
    one.disconnect(subscriber.peer, subscriber.session)
    for _ in range(3):
        group.pass_time(3.0)
        two.heartbeat(b"p", 1)
    assert [broker.attached for broker in group.brokers] == [[], [], []]


def test_what_came_from_a_broker_that_is_gone_comes_from_another(
    group: CoreGroup,
) -> None:
    one, two, three = group.brokers
    subscriber = Told(group, one, *TOPICS)
    subscriber.follow()
    before = subscriber.endpoints()

    three.alive = False
    group.pass_time(3.5)
    moved = subscriber.follow()

    after = subscriber.endpoints()
    assert set(after.values()) == {forwarding(one), forwarding(two)}
    gone = [topic for topic in TOPICS if before[topic] == forwarding(three)]
    assert [topic for topic in TOPICS if before[topic] != after[topic]] == gone
    assert moved == len(gone) > 0


def test_a_broker_that_comes_takes_its_share(group: CoreGroup) -> None:
    subscriber = Told(group, group.brokers[0], *TOPICS)
    subscriber.follow()
    before = subscriber.endpoints()

    four = group.add()
    group.settle()
    assert subscriber.follow() == 0  # handshakes may be going on
    group.pass_time(SPREAD_DELAY_S)
    subscriber.follow()

    after = subscriber.endpoints()
    changed = {topic for topic in TOPICS if before[topic] != after[topic]}
    assert 0 < len(changed) < len(TOPICS) / 2
    assert {after[topic] for topic in changed} == {forwarding(four)}


def test_brokers_that_come_to_one_that_was_alone_take_their_share() -> None:
    """The broker tells each subscriber which broker listens to its publisher from then on."""
    group = CoreGroup("centralized", brokers=1)
    one = group.brokers[0]
    # So many topics that no broker but the one of a topic expects its subscriber.
    subscribers = [Told(group, one, f"topic/{number}") for number in range(200)]
    publishers = {}
    for number in range(8):
        peer, address = b"p%d" % number, f"10.0.0.1:{6000 + number}"
        reply = one.registered(peer, "publisher", [f"topic/{number}"], address=address)
        publishers[peer] = reply.session, address

    group.add()
    group.add()
    for _ in range(10):
        group.pass_time(1.0)
        for peer, (session, _) in publishers.items():
            one.heartbeat(peer, session)
        for each in subscribers:
            one.heartbeat(each.peer, each.session)

    brokers = {forwarding(broker): broker for broker in group.brokers}
    used = set()
    for each, (_, address) in zip(subscribers, publishers.values(), strict=False):
        each.follow()
        (endpoint,) = each.endpoints().values()
        assert address in brokers[endpoint].attached
        used.add(endpoint)
    assert len(used) > 1


def test_a_subscriber_that_moves_has_its_topics_from_where_it_had_them(
    group: CoreGroup,
) -> None:
    one, two, _ = group.brokers
    subscriber = Told(group, one, *TOPICS)
    subscriber.follow()
    before = subscriber.endpoints()

    reply = two.registered(b"t", "subscriber", TOPICS, session=subscriber.session)

    subscriber.broker, subscriber.ports = two, dict(reply.ports)
    assert subscriber.endpoints() == before


def test_a_topic_that_all_want_is_at_all_brokers(group: CoreGroup) -> None:
    subscribers = [Told(group, group.brokers[n % 3], "hot") for n in range(12)]
    group.pass_time(2 * SPREAD_DELAY_S)
    for each in subscribers:
        each.follow()
    assert all(each.ports == {"hot": 7000 + each.broker.epoch} for each in subscribers)


def test_a_broker_that_is_cut_off_goes_on_as_it_was(group: CoreGroup) -> None:
    one = group.brokers[0]
    subscriber = Told(group, one, *TOPICS)
    subscriber.follow()
    before = dict(subscriber.ports)

    one.member.reachable = False
    group.pass_time(4.0)
    one.heartbeat(subscriber.peer, subscriber.session)

    assert subscriber.follow() == 0
    again = one.registered(b"again", "subscriber", TOPICS)
    assert dict(again.ports) == before


def test_wildcards_come_from_ones_own_broker(group: CoreGroup) -> None:
    one, two, _ = group.brokers
    two.registered(b"p", "publisher", TOPICS)
    subscriber = Told(group, one, "topic/+", "other")
    assert set(subscriber.ports.values()) == {7001}
    group.brokers[2].alive = False
    group.pass_time(3.5)
    assert subscriber.follow() == 0


def cut_off(group: CoreGroup, broker: CoreOfGroup, subscriber: Told) -> None:
    """Cut a broker off from the engine."""
    broker.member.reachable = False
    group.pass_time(4.0)
    broker.heartbeat(subscriber.peer, subscriber.session)
    group.pass_time(1.0)


def test_a_broker_that_is_cut_off_forwards_what_only_it_knows(
    group: CoreGroup,
) -> None:
    one = group.brokers[0]
    subscriber = Told(group, one, *TOPICS)
    subscriber.follow()
    before = subscriber.endpoints()
    cut_off(group, one, subscriber)

    one.registered(b"new", "publisher", TOPICS[:12], address="10.0.0.9:5556")
    subscriber.follow()

    assert "10.0.0.9:5556" in one.attached
    expected = before | dict.fromkeys(TOPICS[:12], forwarding(one))
    assert subscriber.endpoints() == expected != before

    one.member.reachable = True
    group.pass_time(2.0)
    one.heartbeat(subscriber.peer, subscriber.session)
    subscriber.follow()
    assert subscriber.endpoints() == before


def test_a_broker_that_is_cut_off_forwards_topics_that_had_no_subscribers(
    group: CoreGroup,
) -> None:
    one, two, _ = group.brokers
    two.registered(b"p", "publisher", TOPICS, address="10.0.0.9:5556")
    subscriber = Told(group, one, TOPICS[0])
    cut_off(group, one, subscriber)
    two.heartbeat(b"p", 1)

    new = Told(group, one, *TOPICS[12:])

    new.follow()
    assert set(new.endpoints().values()) == {forwarding(one)}
    assert one.attached == ["10.0.0.9:5556"]

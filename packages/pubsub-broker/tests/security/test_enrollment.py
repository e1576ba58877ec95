"""The list of clients, and the grants of a policy."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub_broker.security import enrollment, policy
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.grants import Grants
from pubsub_broker.security.policy import Grant, Policy
from pubsub_common.errors import ConfigError
from pubsub_common.protocol.messages import MAX_STRENGTH, Vouched
from pubsub_common.protocol.wildcards import matches

NOW = datetime.datetime(2027, 1, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def key(number: int) -> str:
    return f"{number:040d}"


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
times = st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2100, 1, 1)).map(
    lambda time: time.replace(microsecond=0, tzinfo=datetime.UTC)
)
clients = st.dictionaries(names, st.tuples(times, st.none() | times, st.none() | times))


@given(clients)
def test_what_is_written_is_read(entries: dict[str, Any]) -> None:
    enrolled = {
        name: EnrolledKey(name, key(number), *times)
        for number, (name, times) in enumerate(entries.items())
    }

    text = enrollment.render(enrolled.values())

    assert enrollment.parse(tomllib.loads(text), "clients.toml") == enrolled


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = 1", "not a client"),
        ("[a]\nenrolled = 2027-01-01T00:00:00Z", "public is not a key"),
        (f"[a]\npublic = '{key(1)}'", "enrolled is missing"),
        (f"[a]\npublic = '{key(1)}'\nenrolled = 'yes'", "is not a time"),
        (f"[a]\npublic = '{key(1)}'\nenrolled = 2027-01-01", "is not a time"),
        (f"[a]\npublic = '{key(1)}'\ncolour = 1", "not a client"),
        (f"['a b']\npublic = '{key(1)}'", "not a name for a client"),
        (
            f"[a]\npublic = '{key(1)}'\nenrolled = 2027-01-01T00:00:00Z\n"
            f"[b]\npublic = '{key(1)}'\nenrolled = 2027-01-01T00:00:00Z",
            r"\[b\] has the key of \[a\]",
        ),
    ],
)
def test_a_list_that_makes_no_sense(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        enrollment.parse(tomllib.loads(text), "clients.toml")


@pytest.mark.parametrize(
    "name", ["", "a b", "../a", "a/b", ".a", "-a", "ä", "a" * 65, "a\n", "broker"]
)
def test_names_that_no_client_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        enrollment.validate_name(name)


def test_times_without_a_zone_are_utc() -> None:
    text = f"[a]\npublic = '{key(1)}'\nenrolled = 2027-01-01T12:00:00"

    assert enrollment.parse(tomllib.loads(text), "")["a"].enrolled == NOW


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, "ok"),
        (NOW + DAY, None, "ok"),
        (NOW, None, "expired"),
        (NOW - DAY, None, "expired"),
        (NOW - DAY, NOW, "revoked"),
        (None, NOW + DAY, "revoked"),
    ],
)
def test_how_a_client_stands(
    expires: datetime.datetime | None, revoked: datetime.datetime | None, state: str
) -> None:
    assert EnrolledKey("a", key(1), NOW - DAY, expires, revoked).state(NOW) == state


# Policies

POLICY = """
[clients.alice]
publish = ["sensors/#"]
subscribe = ["alarms"]

[clients."*"]
subscribe = ["public/+"]
status = true
"""


def parsed(text: str) -> Policy:
    return policy.parse(tomllib.loads(text), "policy.toml")


def test_what_is_not_granted_is_refused() -> None:
    alice = parsed(POLICY).grant("alice")

    assert alice.refused("publisher", ["sensors/a"]) is None
    assert alice.refused("publisher", ["alarms"]) == "alarms"
    assert alice.may_subscribe("alarms")
    assert not alice.may_subscribe("sensors/a")
    assert not alice.may_subscribe("#")
    assert not alice.status


def test_others_have_the_table_of_others() -> None:
    bob = parsed(POLICY).grant("bob")

    assert bob.name == "bob"
    assert bob.may_subscribe("public/a")
    assert bob.may_subscribe("public/+")
    assert not bob.may_subscribe("public/#")
    assert bob.refused("publisher", ["public/a"]) == "public/a"
    assert bob.status


def test_without_a_table_nothing_is_granted() -> None:
    nothing = Grant("bob", (), (), status=False, strength=-1)
    assert parsed("[clients.alice]").grant("bob") == nothing
    assert parsed("[clients]").grant("bob") == nothing


def test_without_a_policy_everything_is_granted() -> None:
    grant = Grant("alice")

    assert grant.refused("publisher", ["a"]) is None
    assert grant.may_subscribe("#")
    assert grant.status
    assert grant.refused_strength({"a": MAX_STRENGTH}) is None


def test_by_a_policy_nobody_may_own_a_topic_unless_it_says_so() -> None:
    alice = parsed(POLICY).grant("alice")

    assert alice.refused_strength({}) is None
    assert alice.refused_strength({"sensors/a": 0}) == (
        "the policy does not let alice have strength 0 on 'sensors/a'"
    )


def test_the_strength_of_a_policy_is_the_greatest_that_a_client_may_have() -> None:
    alice = parsed("[clients.alice]\npublish = ['a', 'b']\nstrength = 5").grant("alice")

    assert alice.refused_strength({"a": 0, "b": 5}) is None
    assert alice.refused_strength({"a": 5, "b": 6}) == (
        "the policy does not let alice have strength 6 on 'b'; at most 5"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "consists of tables"),
        ("clients = 1", "consists of tables"),
        ("[client.a]", "consists of tables"),
        ("[clients]\na = 1", "must be a table"),
        ("[clients.a]\npublishes = []", "unknown key 'publishes'"),
        ("[clients.a]\npublish = 'A'", "list of topics"),
        ("[clients.a]\npublish = [1]", "list of topics"),
        ("[clients.a]\npublish = ['a/#/b']", "publish: .*at the end"),
        ("[clients.a]\nstatus = 1", "true or false"),
        ("[clients.a]\nstrength = -1", "strength must be a whole number in 0"),
        ("[clients.a]\nstrength = true", "strength must be a whole number"),
        ("[clients.a]\nstrength = 1.5", "strength must be a whole number"),
        (f"[clients.a]\nstrength = {2**31}", "in 0..2147483647"),
        ("[clients.'a b']", "not a name"),
    ],
)
def test_a_policy_that_makes_no_sense(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parsed(text)


# Grants

ALICE = EnrolledKey("alice", key(1), NOW - DAY)
BOB = EnrolledKey("bob", key(2), NOW - DAY, expires=NOW + DAY)
GONE = EnrolledKey("gone", key(3), NOW - DAY, revoked=NOW)


def test_an_enrolled_key_has_a_grant() -> None:
    grants = Grants()
    assert not grants.allows(key(1))

    assert grants.update([ALICE, BOB, GONE], None, NOW) == set()

    assert grants.allows(key(1))
    assert grants.allows(key(2))
    assert not grants.allows(key(3))
    assert not grants.allows(key(4))
    assert grants.grant(key(1)) == Grant("alice")
    assert grants.grant(None) is None
    assert grants.permits(key(1), "A")
    assert not grants.permits(key(3), "A")


def test_an_unchanged_folder_is_not_a_change() -> None:
    grants = Grants()
    grants.update([ALICE], None, NOW)

    assert grants.update([ALICE], None, NOW) is None


def test_a_grant_ends_when_its_key_expires() -> None:
    grants = Grants()
    grants.update([ALICE, BOB], None, NOW)

    assert grants.update([ALICE, BOB], None, NOW + DAY) == {key(2)}
    assert not grants.allows(key(2))


def test_an_update_returns_the_keys_that_were_revoked_or_have_another_grant() -> None:
    grants = Grants()
    grants.update([ALICE, BOB], None, NOW)

    everything = policy.parse(
        {"clients": {"alice": {"publish": ["#"]}, "bob": {"subscribe": ["A"]}}}, ""
    )
    assert grants.update([ALICE, BOB], everything, NOW) == {key(1), key(2)}
    assert grants.update([BOB], everything, NOW) == {key(1)}
    assert grants.update([ALICE, BOB], everything, NOW) == set()


def test_publishers_are_told_the_keys_that_may_subscribe_to_their_topics() -> None:
    grants = Grants()
    rights = policy.parse(
        {"clients": {"alice": {"subscribe": ["a/+", "x"]}, "bob": {"publish": ["#"]}}},
        "",
    )
    grants.update([ALICE, BOB], rights, NOW)

    assert grants.vouched(["a/b"]) == [Vouched(key=key(1), topics=["a/+", "x"])]
    assert grants.vouched(["b"]) == []
    grants.update([ALICE, BOB], None, NOW)
    assert grants.vouched(["b"]) == [Vouched(key=key(1)), Vouched(key=key(2))]


@given(st.lists(st.sampled_from(["a", "a/+", "#", "b/#", "+/c"]), max_size=3), names)
def test_vouched_keys_are_those_that_may_subscribe(
    subscribe: list[str], name: str
) -> None:
    grants = Grants()
    rights = policy.parse({"clients": {"alice": {"subscribe": subscribe}}}, "")
    grants.update([ALICE], rights, NOW)

    vouched = grants.vouched([name])

    assert bool(vouched) is grants.permits(key(1), name)
    assert bool(vouched) is any(matches(each, name) for each in subscribe)


def test_the_owner_of_a_key_is_named() -> None:
    grants = Grants()
    grants.update([ALICE, GONE], None, NOW)

    assert grants.describe(key(1), NOW) == "alice"
    assert grants.describe(key(3), NOW) == "gone, revoked"
    assert grants.describe(key(9), NOW) == f"an unknown key ({key(9)})"

"""The control messages between clients and the broker.

A message is one JSON object with a ``type``. Missing fields, and known fields of another
type, are errors; unknown fields are ignored, so that a later version can add some. A reply
repeats the ``id`` of its request; pushes have no id. ``docs/protocol.md`` describes the
fields for other languages.

The module is longer than others, because the two decoders below name every message, and a
change needs all of them in one place.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from pubsub_common.defaults import MAX_BROKERS
from pubsub_common.errors import ProtocolError
from pubsub_common.protocol.client_names import ClientName, is_client_name
from pubsub_common.protocol.events import SESSION_BITS, Sequence, Session
from pubsub_common.protocol.numbers import Amount, Count, Duration, Nanoseconds
from pubsub_common.protocol.versions import Version, Versions

_T = TypeVar("_T")

Role = Literal["publisher", "subscriber"]
Model = Literal["centralized", "decentralized"]
# All numbers are limited, so that they can be added and written again. In these limits a JSON
# number is exact in every language.
_EXACT: Final = 2**SESSION_BITS
NO_ID: Final = -1
RequestId = Annotated[int, msgspec.Meta(ge=0, lt=_EXACT)]
# Of a reply; -1: the request had none.
ReplyId = Annotated[int, msgspec.Meta(ge=-1, lt=_EXACT)]
Epoch = Annotated[int, msgspec.Meta(ge=0, lt=_EXACT)]
Revision = Annotated[int, msgspec.Meta(ge=0, lt=_EXACT)]
# An offset, plus or minus its uncertainty.
ClockBound = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
# The source of a topic: a port of the broker that names it, or ``host:port`` of another.
TopicPort = Port | str
# Control addresses, ``host:port``.
Brokers = Annotated[list[str], msgspec.Meta(max_length=MAX_BROKERS)]
ForwardersName = Annotated[str, msgspec.Meta(max_length=32)]
Lease = Annotated[float, msgspec.Meta(gt=0)]
Place = Annotated[str, msgspec.Meta(max_length=64)]
MAX_STRENGTH: Final = 2**31 - 1
Strength = Annotated[int, msgspec.Meta(ge=0, le=MAX_STRENGTH)]

# Reasons in an Error reply.
MALFORMED: Final = "malformed"
WRONG_VERSION: Final = "wrong_version"
WRONG_MODEL: Final = "wrong_model"
WRONG_CLOCK: Final = "wrong_clock"
BAD_TOPIC: Final = "bad_topic"
BAD_ADDRESS: Final = "bad_address"
UNKNOWN_SESSION: Final = "unknown_session"
TOO_MANY: Final = "too_many"
NOT_ALLOWED: Final = "not_allowed"
REVOKED: Final = "revoked"
# Reasons after which the same request may be served later.
TOO_FAST: Final = "too_fast"
SESSION_IN_USE: Final = "session_in_use"


class _Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    omit_defaults=True,
):
    """Base of all control messages."""


class _MessagePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the objects inside messages."""


# Requests


class Register(_Message, frozen=True, tag="register"):
    """A client joins, or registers again after the broker forgot it.

    ``versions`` are the lowest and the highest version of the protocol that it speaks.
    ``session`` is None the first time and the earlier session afterwards. ``model`` is the
    model that a subscriber requires; a subscriber of either model and a publisher leave it
    out. ``strengths`` are a publisher's, for its topics with a strength. ``name`` is for
    people; "": none. ``place`` is of a publisher that shares memory with subscribers in the
    same place (`pubsub_common.shared_memory.place`).
    """

    id: RequestId
    versions: Versions
    role: Role
    topics: list[str]
    address: str
    clock: str
    model: Model | None = None
    session: Session | None = None
    strengths: dict[str, Strength] = {}
    name: ClientName = ""
    place: Place | None = None

    def __post_init__(self) -> None:
        if not is_client_name(self.name):
            raise ValueError("`name` has a space, or a character that is not printable")


class ClockOffset(_MessagePart, frozen=True):
    """The broker's clock minus the client's: ``offset_ns``, plus or minus ``bound_ns``."""

    offset_ns: Nanoseconds
    bound_ns: Duration


class ClockRange(_MessagePart, frozen=True):
    """The range of the broker's clock minus the clock of any of several clients."""

    low_ns: ClockBound
    high_ns: ClockBound


class Latency(_MessagePart, frozen=True):
    """The one-way latency of ``count`` events, from a sample of them. Negative values are not
    clipped: they show a clock error."""

    count: Sequence
    p50_ns: Nanoseconds
    p99_ns: Nanoseconds
    max_ns: Nanoseconds


class Heartbeat(_Message, frozen=True, tag="heartbeat"):
    """Renews the lease. ``revision`` is the last push that the client has seen; ``clock`` its
    clock offset, if known. ``lost`` is the number of lost events of each topic of a
    subscriber since its first registration, for topics with any.

    ``published`` are a publisher's next sequence numbers, for topics where they differ from
    its last heartbeat under this registration; None from clients without this field.
    ``latency`` is for the events of a subscriber since its last heartbeat; None without any.
    """

    id: RequestId
    session: Session
    revision: Revision = 0
    clock: ClockOffset | None = None
    lost: dict[str, Sequence] = {}
    published: dict[str, Sequence] | None = None
    latency: Latency | None = None


class ClockRequest(_Message, frozen=True, tag="clock"):
    """Requests the broker's time, in nanoseconds of its realtime clock; needs no
    registration. ``sent_ns`` is the client's own time."""

    id: RequestId
    sent_ns: Nanoseconds


class Hello(_Message, frozen=True, tag="hello"):
    """Requests a broker's state, before a client chooses one of several; needs no
    registration."""

    id: RequestId


class Disconnect(_Message, frozen=True, tag="disconnect"):
    """A client disconnects. A publisher adds the next sequence number of each topic, so that
    subscribers know the ends of its streams."""

    id: RequestId
    session: Session
    next_sequences: dict[str, Sequence] = {}


class StatusRequest(_Message, frozen=True, tag="status"):
    """Requests the broker's status; needs no registration. With ``from_session`` for one
    page: the clients from this session on; 0 for the first page."""

    id: RequestId
    from_session: Session | None = None


# Replies and pushes


class PublisherInfo(_MessagePart, frozen=True):
    """One publisher, for a subscriber. In the centralized model ``address`` is left out: the
    subscriber only needs the session, for the replies of the ready handshake.
    ``strengths`` and ``place`` are as in Register; ``key`` is the public key at
    ``address``, with a secure broker."""

    session: Session
    topics: list[str]
    address: str | None = None
    strengths: dict[str, Strength] = {}
    key: str | None = None
    place: str | None = None


class Vouched(_MessagePart, frozen=True):
    """A client that a publisher may admit: its public key, and its topics and filters; None:
    all topics."""

    key: str
    topics: list[str] | None = None


class Departure(_MessagePart, frozen=True):
    """One publisher that left. ``next_sequences`` is empty if its lease expired. If it was
    ``revoked``, its later events are ignored."""

    session: Session
    next_sequences: dict[str, Sequence] = {}
    revoked: bool = False


class Demand(_MessagePart, frozen=True):
    """The load for which a publisher's port must have room: all registered subscribers
    together may have so many ``subscriptions`` with so many bytes (``size``).
    ``forwarders`` are the names that the forwarders of all brokers of the group show
    (`pubsub_common.protocol.forwarder_mark`)."""

    subscriptions: Count = 0
    size: Count = 0
    forwarders: Annotated[
        list[ForwardersName], msgspec.Meta(max_length=MAX_BROKERS)
    ] = []


class Registered(_Message, frozen=True, tag="registered"):
    """The reply to Register. ``version`` is the version of the protocol that both speak from
    now on; ``epoch`` changes when the broker restarts; ``ports`` are the sources of topics
    (centralized subscribers only). A publisher of a secure decentralized broker admits the
    clients in ``vouched``. ``listeners`` are for a publisher: the subscribers of its
    topics, each with the number of matching topics if it has wildcards, else 1.
    Subscribers with wildcards learn of the publisher only after this, and may be
    subscribed to some of its topics before. ``demand`` is for a publisher too.
    ``owner_idle_s`` is for a subscriber: how long the owner of a topic may send nothing
    while others do; None: without a limit. ``brokers`` are the control addresses of the
    live brokers of the group, with its own; empty without a group."""

    id: ReplyId
    version: Version
    session: Session
    epoch: Epoch
    lease_s: Lease
    model: Model
    revision: Revision = 0
    ports: dict[str, TopicPort] = {}
    publishers: list[PublisherInfo] = []
    vouched: list[Vouched] = []
    listeners: dict[Session, Sequence] = {}
    demand: Demand | None = None
    owner_idle_s: Lease | None = None
    brokers: Brokers = []


class Alive(_Message, frozen=True, tag="alive"):
    """The reply to Heartbeat. ``known`` is false if the session must register again;
    ``revision`` is the last push to this client. A subscriber also gets the range of the
    clocks of its publishers, once all are known, and a publisher the load of its port.
    ``cut_off``: the broker does not reach the registry of its group, so its clients should
    move to one that does."""

    id: ReplyId
    epoch: Epoch
    known: bool
    revision: Revision = 0
    publishers_clock: ClockRange | None = None
    demand: Demand | None = None
    cut_off: bool = False


class HelloReply(_Message, frozen=True, tag="hello_reply"):
    """The reply to Hello. ``clients`` is the number of clients of this broker; ``cut_off`` is
    as in Alive, ``brokers`` as in Registered."""

    id: ReplyId
    epoch: Epoch
    model: Model
    clients: Count
    cut_off: bool = False
    brokers: Brokers = []


class ClockReply(_Message, frozen=True, tag="clock_reply"):
    """The reply to ClockRequest: its ``sent_ns``, and the broker's time when the request was
    read and when the reply was written."""

    id: ReplyId
    sent_ns: Nanoseconds
    received_ns: Nanoseconds
    replied_ns: Nanoseconds


class Disconnected(_Message, frozen=True, tag="disconnected"):
    """The reply to Disconnect."""

    id: ReplyId


class PublishersChanged(_Message, frozen=True, tag="publishers_changed"):
    """Push to a subscriber: publishers of its topics joined or left. ``ports`` are as in
    Registered: for topics that are new to it (by a wildcard), and for topics with another
    source from now on."""

    revision: Revision
    joined: list[PublisherInfo] = []
    left: list[Departure] = []
    ports: dict[str, TopicPort] = {}


class VouchedChanged(_Message, frozen=True, tag="vouched_changed"):
    """Push to a publisher: all clients that it may admit from now on."""

    revision: Revision
    vouched: list[Vouched] = []


class BrokersChanged(_Message, frozen=True, tag="brokers_changed"):
    """Push to every client: brokers of the group joined or left. ``brokers`` is as in
    Registered."""

    revision: Revision
    brokers: Brokers = []


class Farewell(_Message, frozen=True, tag="farewell"):
    """Push to every client: the broker shuts down."""


class ClientDescription(_MessagePart, frozen=True, kw_only=True):
    """What a broker tells of a client from its registration: in a status report, and in
    the snapshot that it keeps. A field here that `Register` has too is copied by its name,
    from the registration as far as the reports."""

    role: Role
    session: Session
    address: str
    topics: list[str]
    name: ClientName = ""


class ClientStatus(ClientDescription, frozen=True, kw_only=True):
    """One client in a status report. ``idle_s`` is the time since its last message, ``lost``
    and ``latency`` are from a subscriber's last heartbeat. ``rates`` are a publisher's
    recent events a second on each topic, for topics with any; None while that is not
    known. ``broker`` is the control address of its broker, None without a group. For
    clients of other brokers than the reporting one, the rest is not known."""

    idle_s: Amount | None = None
    lost: dict[str, Sequence] = {}
    rates: dict[str, Amount] | None = None
    latency: Latency | None = None
    broker: str | None = None


class BrokerStatus(_MessagePart, frozen=True):
    """One broker of the group in a status report: its control ``address``, its id, which is
    another one after each start (``broker``), the version of its software, and how many
    clients are registered with it. One that is not ``alive`` has not renewed its lease, and
    some of its clients have not moved yet."""

    address: str
    broker: str
    version: str
    clients: Count
    alive: bool


class RegistryStatus(_MessagePart, frozen=True):
    """How the broker that reports stands with the registry of its ``group``: whether it is
    cut off from it, and for how long."""

    group: str
    cut_off: bool
    cut_off_s: Amount


class Status(_Message, frozen=True, tag="status_report"):
    """The answer to StatusRequest. ``forwarded`` counts the events that came in from
    publishers (0 when decentralized), ``rejected`` the control messages that were
    answered with an error. ``expected`` are the clients that a broker which was
    restarted waits for to come back. ``next_session`` is there when these are not all
    clients: where the next page begins. Clients are in the order of their sessions.
    ``brokers`` and ``registry`` are of a broker in a group. ``address`` is where clients find
    the broker, ``host:port``; ``version`` is that of its software."""

    id: ReplyId
    epoch: Epoch
    model: Model
    uptime_s: Amount
    clients: list[ClientStatus] = []
    expected: list[ClientStatus] = []
    forwarded: Count = 0
    rejected: Count = 0
    next_session: Session | None = None
    brokers: Annotated[list[BrokerStatus], msgspec.Meta(max_length=MAX_BROKERS)] = []
    registry: RegistryStatus | None = None
    address: str = ""
    version: str = ""


class Error(_Message, frozen=True, tag="error"):
    """The answer to a request that cannot be served; ``code`` is one of the
    constants above, ``detail`` is for people. ``id`` is -1 when the request had none."""

    id: ReplyId
    code: str
    detail: str


Request = Register | Heartbeat | Disconnect | StatusRequest | ClockRequest | Hello
Reply = (
    Registered
    | Alive
    | ClockReply
    | HelloReply
    | Disconnected
    | PublishersChanged
    | VouchedChanged
    | BrokersChanged
    | Farewell
    | Status
    | Error
)

encode = msgspec.json.Encoder().encode
_request_decoder = msgspec.json.Decoder(Request)
_reply_decoder = msgspec.json.Decoder(Reply)


def decode_request(data: bytes) -> Request:
    """A client's message.

    Raises:
        ProtocolError: It is not a message; the text names the invalid field.
    """
    request: Request = _decode(_request_decoder, data)
    return request


def decode_reply(data: bytes) -> Reply:
    """A broker's message.

    Raises:
        ProtocolError: It is not a message; the text names the invalid field.
    """
    reply: Reply = _decode(_reply_decoder, data)
    return reply


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from error

"""All defaults and limits that several modules use."""

from __future__ import annotations

from typing import Final, Literal

# Addresses and ports
LOOPBACK: Final = "127.0.0.1"
CONTROL_PORT: Final = 5555
PUBLISHER_PORT: Final = 5556

# How long roles run by default
MAX_EVENT_COUNT: Final = 15
SLEEP_PERIOD_S: Final = 1.0
PAYLOAD_BYTES: Final = 64

# Waiting
# Longest single wait on a lock. A signal handler that stops a role may interrupt the thread that
# holds the lock of the condition to notify; so waiting threads check again.
WAIT_SLICE_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 30.0
# How long a new publisher waits for the present subscribers, or a new subscriber for the present
# publishers, so that the first events arrive.
ATTACH_TIMEOUT_S: Final = 1.0
LINGER_S: Final = 5.0
LEASE_S: Final = 6.0
HEARTBEATS_PER_LEASE: Final = 3
# How long a broker that does not renew its lease in etcd counts as alive: etcd takes no less
# than 2 s with its default election timeout, and needs 1.6 s for an election.
BROKER_LEASE_S: Final = 3
# Interval between attempts to register. Short, so that a client that was started before its
# broker registers soon after the broker appears.
REGISTER_RETRY_S: Final = 0.25
REGISTER_ANSWER_S: Final = 2.0
# How long a client waits after its address exceeded the rate limit.
REGISTER_LATER_S: Final = 1.0
# First and longest time that a client with several brokers waits for the ones that it asks: the
# next ones may answer, but a broker needs a moment when many clients arrive at once.
BROKER_ANSWER_S: Final = 0.5
BROKER_ANSWER_MAX_S: Final = 4.0
# How long the first broker that answers waits for the other one, which may have fewer clients:
# longer than a round trip, and short against the time that a client may be without a broker.
BROKER_COMPARE_S: Final = 0.1
# How long a broker that was left, or did not answer, is asked last: until its group has detected
# its end.
BROKER_AVOID_S: Final = 5.0
# How long a broker may leave a request unanswered before its client looks for another one. Most
# of a second is a pause on a busy machine; together with a heartbeat's interval it is less than
# the lease, within which the group keeps the client.
BROKER_SILENCE_S: Final = 2.0
# Host names that one role looks up at the same time: a resolver that does not answer blocks one
# look-up for many seconds, and so few do not delay the others.
LOOKUP_THREADS: Final = 4
# First and longest time until a name that was not found is looked up again.
LOOKUP_RETRY_S: Final = 1.0
LOOKUP_RETRY_MAX_S: Final = 16.0
# How long the broker collects joins and leaves before it sends them to subscribers: then 128
# publishers that start together cost a subscriber a few messages.
NOTIFY_DELAY_S: Final = 0.01
# How long a topic of a group stays at its brokers after more subscribers or another broker have
# come: longer than handshakes take, so that a publisher that waits for these subscribers has sent
# its first events before.
SPREAD_DELAY_S: Final = 1.0
# Topics of publishers and subscribers that it compares for that in one turn: some 10 ms of work, so
# that other clients' heartbeats do not wait for a client with thousands of topics.
NOTIFY_TOPICS: Final = 8192

# Queue limit in messages per connection. A slow subscriber uses memory up to this limit and then
# loses its own events, never those of others.
QUEUE_LIMIT: Final = 10_000
# Queue limit for overflow="block": a blocking publisher gains nothing from a long queue, and
# large queued events cost memory.
BLOCKING_QUEUE_LIMIT: Final = 1000
# Queue limit in bytes per connection: enough for a burst of some hundred camera pictures or ten
# thousand small events, and little for a few stopped readers.
QUEUE_BYTES: Final = 64 * 1024 * 1024
# Limit of all queues of a role: sixteen full ones, which fit into a small machine.
QUEUE_TOTAL_BYTES: Final = 1024 * 1024 * 1024
# Largest payload by default. A queue then holds at least one event of any size.
PAYLOAD_LIMIT_BYTES: Final = QUEUE_BYTES
# Frames from this size on go to subscribers on the same host by shared memory, with the extra:
# a reference and the copy into shared memory cost as much as a smaller frame by TCP.
SHARED_MEMORY_FROM: Final = 16 * 1024
# Most shared memory of a publisher, for all sizes of events: enough for some of 8 MiB.
SHARED_MEMORY_BYTES: Final = 128 * 1024 * 1024
# Longest wait of a sender for room there, before events go by TCP. A subscriber that reads
# makes room in microseconds; this is some turns of the scheduler.
SHARED_MEMORY_WAIT_S: Final = 0.01
# Most bytes of a topic's history, for any number of events.
HISTORY_BYTES: Final = 64 * 1024 * 1024
# Most bytes of all topics' histories together, with Python's own for each event. One topic may have
# a quarter.
HISTORY_TOTAL_BYTES: Final = 256 * 1024 * 1024
# Most bytes of events that a subscriber holds, over all streams, until earlier ones have come: as
# much as one topic's history, the most that it can request.
RECOVER_BYTES: Final = 64 * 1024 * 1024
# Python's memory for an event without its payload: the object, its numbers, its place.
EVENT_OVERHEAD_BYTES: Final = 256
# Most events in one frame. Publishers send 256; a frame of the largest size could hold twenty
# million, which take a hundred bytes each once they are decoded.
MAX_BATCH_EVENTS: Final = 65_536
# A number that is so far beyond the expected one is impossible, not a loss: a million events a
# second take 12 days for that.
MAX_JUMP: Final = 2**40
# Streams that a subscriber stores of publishers that its broker has not named, or not with that
# topic: a publisher's events may come before the broker's notification, and it may have half as
# many topics.
UNNAMED_STREAMS: Final = 8192
# Events that have arrived while a subscriber waits for something else, in bytes.
RECEIVED_AHEAD_BYTES: Final = 64 * 1024 * 1024
# Requests of subscribers without a reply of the publisher, over all connections: some 37,000, as
# many as come at once when a broker restarts with hundreds of subscribers.
QUESTIONS_BYTES: Final = 16 * 1024 * 1024
# Replies of a publisher that have not arrived: on one connection, four of the largest, so that one
# is always on its way; and on all.
ANSWER_BYTES: Final = 1024 * 1024
ANSWERS_BYTES: Final = 32 * 1024 * 1024
# As fast as subscribers in Python take events of a kilobyte. A broker looks for slow readers every
# 50 ms.
ANSWER_BYTES_PER_SECOND: Final = 128 * 1024 * 1024
# A publisher's memory of ready subscribers: 1,000 with 300 topics each.
READY_BYTES: Final = 32 * 1024 * 1024
# How long a subscriber requests missing events without a reply.
RECOVER_TIMEOUT_S: Final = 10.0

# Limits on what a peer may send: one broken client must not fill the broker.
MAX_TOPIC_BYTES: Final = 255
MAX_TOPICS_PER_CLIENT: Final = 4096
# Approximate memory of a client's topics and wildcards in the broker, which also limits the time of
# a look-up: enough for the most topics that it may have, with 16 levels each. A name of 255 bytes
# may have 128 levels.
TOPIC_MEMORY_PER_CLIENT: Final = 12 * 1024 * 1024
# Length of a publisher's name in events, host:port: the longest IPv6 address with zone and port.
MAX_PUBLISHER_LENGTH: Final = 64
MAX_CONTROL_BYTES: Final = 4 * 1024 * 1024
# The largest possible limit of payloads.
MAX_PAYLOAD_BYTES: Final = 1024 * 1024 * 1024

# Files
# Longest file that a role reads as a whole: settings, a policy, keys. The longest that
# people write have some thousand lines; parsing this much takes about a second.
MAX_FILE_BYTES: Final = 1024 * 1024
# Longest list of enrolled clients, which `enroll` writes: that of about 50,000.
MAX_CLIENT_LIST_BYTES: Final = 8 * 1024 * 1024
# How long a pipe with keys may take: the program at its other end may have to ask for a password.
KEYS_PIPE_TIMEOUT_S: Final = 30.0

# The broker's unread replies: of one connection, of an IP address, and of all. A client has some
# kilobytes, and for a moment the reply to its registration: megabytes with thousands of publishers.
# An address may have half of the total, so that others find room.
UNREAD_CONNECTION_BYTES: Final = 4 * 1024 * 1024
UNREAD_ADDRESS_BYTES: Final = 32 * 1024 * 1024
UNREAD_TOTAL_BYTES: Final = 64 * 1024 * 1024
# Longest message of the broker: half of the clients' limit. Only the reply to a registration that
# matches very many topics of others can be longer.
REPLY_BYTES: Final = 32 * 1024 * 1024
# A page of a status report, by the bytes of its clients (of at least one, whatever its size).
# Small, so that making one takes milliseconds; a request without pages gets a large one.
STATUS_PAGE_BYTES: Final = 128 * 1024
STATUS_WHOLE_BYTES: Final = 2 * 1024 * 1024
# Logs
# Bytes of messages that wait for a log: some thousand lines, enough while a disk is busy for a
# moment.
LOG_QUEUE_BYTES: Final = 1024 * 1024
# Bytes of the broker's log lines about clients that join, leave and lose events, in an interval:
# for one IP address, some 700 lines, and for all. So they are 90 MB an hour at most.
LOG_ADDRESS_BYTES: Final = 64 * 1024
LOG_PEERS_BYTES: Final = 256 * 1024
# How long the end of a program waits for its log, or for the reader of its data.
OUTPUT_LINGER_S: Final = 1.0

# The broker's limits and intervals
MAX_CLIENTS: Final = 10_000
# The brokers of a group. A publisher has a connection from each, and each has a record of
# every client, so that a group is some dozens at most; lists of them stay short.
MAX_BROKERS: Final = 256
# The name of a client: as long as the longest host name, and fits on a line of a terminal.
MAX_NAME_CHARACTERS: Final = 64
# A client's record in the registry of a group, as JSON. etcd takes 1.5 MiB in a request, and a
# broker uses 1 MiB of that; the record of a departure also has the numbers of its topics.
RECORD_BYTES: Final = 896 * 1024
# Clients per IP address by default: a share of all, so that others find room, but never less
# than the minimum.
CLIENTS_PER_ADDRESS_SHARE: Final = 0.5
MIN_CLIENTS_PER_ADDRESS: Final = 1000
# Publishers per IP address, unless the number of clients is given: more than a machine runs, and
# few enough that each subscriber can try to connect to all of them, even if none exists: with keys
# each needs four descriptors, of 1,024 by default.
PUBLISHERS_PER_ADDRESS: Final = 200
# The same for all clients, of which one address may have the share above: enough for 10,000 clients
# with 20 topics each. A subscriber of everything gets all of them at once.
TOPIC_MEMORY: Final = 192 * 1024 * 1024
# Topics with stored losses, of all subscribers together; a few of each in any case.
MAX_LOST_TOPICS: Final = 100_000
# Registrations a second per IP address, after a burst of ten times as many.
REGISTRATIONS_PER_SECOND: Final = 1000.0
# Longest message at a port that subscribers connect to. The longest subscription is a topic
# with its marks and numbers (ready, recovery): less than twice MAX_TOPIC_BYTES.
MAX_SUBSCRIPTION_BYTES: Final = 1024
# Subscriptions of a connection at a port for subscribers, beyond those of registered subscribers,
# which the broker knows and sends to publishers. So this is for subscribers that are not
# registered, or that a publisher does not know yet. libzmq stores a subscription as a chain of
# nodes of some 80 bytes, one for each byte of it. When a connection ends, libzmq visits all
# subscriptions in one call and removes those of the connection: 5 to 30 us each. So many take 50 ms
# and 10 MB of memory.
SUBSCRIPTIONS: Final = 4096
# Their bytes on the wire.
SUBSCRIPTION_BYTES: Final = 128 * 1024
# Bytes a second through one connection, after a burst: requests for missing events, some 600 a
# second, each with its subscription and its end.
QUESTION_BYTES_PER_SECOND: Final = 128 * 1024
# How long a connection may take for ZeroMQ's handshake and the first subscription. A
# subscriber sends both at once; a machine that starts hundreds of them takes seconds.
FIRST_SUBSCRIPTION_S: Final = 10.0
# The kernel's buffer of a connection, which may still come in after the connection was closed.
SUBSCRIPTION_BUFFER_BYTES: Final = 32 * 1024
# Messages of a connection that libzmq has read before the program looks.
SUBSCRIPTION_QUEUE: Final = 1000
# Interval of log lines of one kind (`pubsub_common.logs.throttle`); lines in between are
# counted.
LOG_INTERVAL_S: Final = 10.0
# How long after a lease a restarted broker still expects the clients that it knew.
EXPECTED_MARGIN_S: Final = 10.0
# Fewest values for a percentile: with fewer, less than one value lies beyond it, so it would be the
# largest value.
MIN_COUNT_P99: Final = 100
MIN_COUNT_P999: Final = 1000

CLOCKS: Final = ("realtime", "monotonic")
# "auto": on where the extra is installed, unless the broker is secure.
SharedMemory = Literal["auto", "on", "off"]
SHARED_MEMORY: Final = ("auto", "on", "off")

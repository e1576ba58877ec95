"""Every default and limit that more than one module relies on, in one place."""

from __future__ import annotations

from typing import Final

# Addresses and ports
LOOPBACK: Final = "127.0.0.1"
CONTROL_PORT: Final = 5555
PUBLISHER_PORT: Final = 5556

# How long roles run by default
MAX_EVENT_COUNT: Final = 15
SLEEP_PERIOD_S: Final = 1.0
PAYLOAD_BYTES: Final = 64

# Waiting
# Longest single wait on a lock. Signal handlers stop roles, and may interrupt a thread that holds
# the lock of the condition that they would have to notify; so waiting threads look again.
WAIT_SLICE_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 30.0
# How long a role that joins waits for those that are there already, so that its first events
# reach them, or theirs reach it.
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
# How long a client with several brokers waits for those that it asks, at first and at last: the
# next ones may be there, but a broker at which a crowd arrives needs a moment for it.
BROKER_ANSWER_S: Final = 0.5
BROKER_ANSWER_MAX_S: Final = 4.0
# How long the first that answers waits for the other one, which may be emptier: longer than a
# round trip, and short against the time that a client may be without a broker.
BROKER_COMPARE_S: Final = 0.1
# For how long others are asked before a broker that was left, or did not answer: until its group
# has noticed that it is gone.
BROKER_AVOID_S: Final = 5.0
# How long a broker may leave a request unanswered before its client looks for another one. Most
# of a second is a pause on a busy machine; together with a heartbeat's interval it is less than
# the lease, within which the group keeps the client.
BROKER_SILENCE_S: Final = 2.0
# Host names that are looked up at a time by one role: a resolver without an answer holds up one
# for many seconds, and so few the others not at all.
LOOKUP_THREADS: Final = 4
# How long after a name was not found it is looked up again, at first and at last: a name server
# that has just lost it need not be asked more often.
LOOKUP_RETRY_S: Final = 1.0
LOOKUP_RETRY_MAX_S: Final = 16.0
# How long the broker collects joins and leaves before it tells subscribers, so
# that 128 publishers starting together cost a subscriber a few messages.
NOTIFY_DELAY_S: Final = 0.01
# How many topics of how many publishers and subscribers it compares for that in one turn: some
# 10 ms of work, so that other clients' heartbeats do not wait, whoever has thousands.
NOTIFY_TOPICS: Final = 8192

# Queues, in messages per connection. Bounded: a slow subscriber costs memory up
# to here and then its own events, never the others'.
QUEUE_LIMIT: Final = 10_000
# Queue limit for overflow="block": a blocking publisher gains nothing from a long queue, and
# large queued events cost memory.
BLOCKING_QUEUE_LIMIT: Final = 1000
# The same in bytes, for one connection: a burst of some hundred camera pictures, or ten thousand
# small events, and little enough that a few stopped readers do not count.
QUEUE_BYTES: Final = 64 * 1024 * 1024
# For all connections of a role: sixteen full queues, which a small machine still has.
QUEUE_TOTAL_BYTES: Final = 1024 * 1024 * 1024
# Largest payload by default. A queue then holds at least one event of any size.
PAYLOAD_LIMIT_BYTES: Final = QUEUE_BYTES
# Most bytes that a publisher keeps of a topic's history, whatever its number of events.
HISTORY_BYTES: Final = 64 * 1024 * 1024
# Most bytes that a publisher keeps of all topics' histories together, with what Python needs for
# each event. A topic alone may have a quarter.
HISTORY_TOTAL_BYTES: Final = 256 * 1024 * 1024
# Most bytes of events that a subscriber holds, over all streams, until those before them have
# come: as much as one topic's history, which is what it could ask for.
RECOVER_BYTES: Final = 64 * 1024 * 1024
# What Python needs for an event beside its payload: the object, its numbers, its place.
EVENT_OVERHEAD_BYTES: Final = 256
# Most events in one frame. Publishers send 256; a frame of the largest size could hold twenty
# million, which take a hundred bytes each once they are decoded.
MAX_BATCH_EVENTS: Final = 65_536
# A number that is so far beyond the one that is expected is no loss, but nonsense: a million
# events a second take 12 days to get there.
MAX_JUMP: Final = 2**40
# Streams that a subscriber remembers of publishers that its broker has not named, or not with that
# topic: a publisher's events may come sooner than the broker's word, and it may have as many
# topics as this half.
UNNAMED_STREAMS: Final = 8192
# Events that have arrived while a subscriber waits for something else, in bytes.
RECEIVED_AHEAD_BYTES: Final = 64 * 1024 * 1024
# Questions of subscribers that a publisher has yet to answer, over all connections: some
# 37,000, as many as come at once when a broker restarts with hundreds of subscribers.
QUESTIONS_BYTES: Final = 16 * 1024 * 1024
# Answers of a publisher that have not arrived: on one connection, four of the largest, so that
# there is always one under way; and on all.
ANSWER_BYTES: Final = 1024 * 1024
ANSWERS_BYTES: Final = 32 * 1024 * 1024
# As fast as subscribers in Python take events of a kilobyte. A broker looks every 50 ms for who
# does not read.
ANSWER_BYTES_PER_SECOND: Final = 128 * 1024 * 1024
# What a publisher remembers of which subscribers are ready: 1,000 of 300 topics each.
READY_BYTES: Final = 32 * 1024 * 1024
# How long a subscriber requests missing events without a reply.
RECOVER_TIMEOUT_S: Final = 10.0

# Limits on what a peer may send: one broken client must not fill the broker.
MAX_TOPIC_BYTES: Final = 255
MAX_TOPICS_PER_CLIENT: Final = 4096
# Memory that the topics and wildcards of a client take in the broker, about, and of which the
# time to look for them depends: enough for as many as it may have, of 16 levels each. A name of
# 255 bytes may have 128 levels.
TOPIC_MEMORY_PER_CLIENT: Final = 12 * 1024 * 1024
# Of a publisher's name in events, host:port: the longest address of IPv6 with a zone and a port.
MAX_PUBLISHER_LENGTH: Final = 64
MAX_CONTROL_BYTES: Final = 4 * 1024 * 1024
# The largest payload that the limit on payloads may be set to.
MAX_PAYLOAD_BYTES: Final = 1024 * 1024 * 1024

# Files
# Longest file that a role reads as a whole: settings, a policy, keys. The longest that
# people write have some thousand lines; parsing this much takes about a second.
MAX_FILE_BYTES: Final = 1024 * 1024
# Longest list of enrolled clients, which `enroll` writes: that of about 50,000.
MAX_CLIENT_LIST_BYTES: Final = 8 * 1024 * 1024
# How long a pipe may take by which keys come: a program at its other end may have to ask
# for them, and somebody may have to type a password there.
KEYS_PIPE_TIMEOUT_S: Final = 30.0

# What waits in the broker for peers that do not read what it answers: for one connection,
# for all of an IP address, and for all. A client has some kilobytes, and for a moment its
# answer to a registration, megabytes where there are thousands of publishers. Half of the
# total for an address, so that another one finds room.
UNREAD_CONNECTION_BYTES: Final = 4 * 1024 * 1024
UNREAD_ADDRESS_BYTES: Final = 32 * 1024 * 1024
UNREAD_TOTAL_BYTES: Final = 64 * 1024 * 1024
# Longest message of the broker: half of what clients take. Only the answer to a registration that
# matches very many topics of others can be longer.
REPLY_BYTES: Final = 32 * 1024 * 1024
# A page of a status report, by the bytes of its clients (of at least one, whatever its size).
# Small, so that making one takes milliseconds; a request without pages gets a large one.
STATUS_PAGE_BYTES: Final = 128 * 1024
STATUS_WHOLE_BYTES: Final = 2 * 1024 * 1024
# Logs
# Bytes of messages that wait for a log to take them: some thousand lines, as many as may
# come while a disk is busy for a moment.
LOG_QUEUE_BYTES: Final = 1024 * 1024
# Bytes of the broker's lines about clients that come, go and lose events, in an interval: about
# those of one IP address, some 700 lines, and about all. So they are 90 MB an hour at most.
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
# What is kept of a client in the registry of a group, as JSON. etcd takes 1.5 MiB in a request,
# of which a broker makes 1 MiB; how a client left has numbers of its topics in addition.
RECORD_BYTES: Final = 896 * 1024
# Clients per IP address by default: a share of all, so that others find room, but never less
# than the minimum.
CLIENTS_PER_ADDRESS_SHARE: Final = 0.5
MIN_CLIENTS_PER_ADDRESS: Final = 1000
# Publishers per IP address, unless the number of clients is given: more than a machine runs, and
# few enough for each subscriber to try to connect to, should nobody be there: with keys each takes
# it four files, of 1,024 where nobody has changed that.
PUBLISHERS_PER_ADDRESS: Final = 200
# The same of all clients, of which one address may have the share above: what 10,000 clients
# with 20 topics each need. A subscriber of everything is told of them all, in one go.
TOPIC_MEMORY: Final = 192 * 1024 * 1024
# Topics of which subscribers' losses are kept, of all together; of each a few in any case.
MAX_LOST_TOPICS: Final = 100_000
# Registrations a second per IP address, after a burst of ten times as many.
REGISTRATIONS_PER_SECOND: Final = 1000.0
# Longest message at a port that subscribers connect to. The longest subscription is a topic
# with its marks and numbers (ready, recovery): less than twice MAX_TOPIC_BYTES.
MAX_SUBSCRIPTION_BYTES: Final = 1024
# What a connection may subscribe to at a port that subscribers connect to, beyond what
# registered subscribers have declared, which the broker knows and tells publishers. So it is
# for those who are not registered, or of whom a publisher has not heard yet. libzmq keeps a
# subscription as a chain of nodes of some 80 bytes, one for each byte of it. When a
# connection ends, it walks through all that is subscribed to, in one call, and takes the
# connection's apart: 5 to 30 us each. So many take 50 ms, and are 10 MB of memory.
SUBSCRIPTIONS: Final = 4096
# Bytes of them, on the wire.
SUBSCRIPTION_BYTES: Final = 128 * 1024
# Bytes a second through one connection, after a burst: questions for missing events, some 600
# a second, each asked and taken back.
QUESTION_BYTES_PER_SECOND: Final = 128 * 1024
# How long a connection may take for ZeroMQ's handshake and the first subscription. A
# subscriber sends both at once; a machine that starts hundreds of them takes seconds.
FIRST_SUBSCRIPTION_S: Final = 10.0
# What the kernel keeps of a connection, before libzmq reads it: it is what may still come in
# of a connection that was closed.
SUBSCRIPTION_BUFFER_BYTES: Final = 32 * 1024
# Messages of a connection that libzmq has read before the program looks.
SUBSCRIPTION_QUEUE: Final = 1000
# Interval of log lines of one kind (`pubsub_common.logs.throttle`); lines in between are
# counted.
LOG_INTERVAL_S: Final = 10.0
# How long after a lease a restarted broker still expects the clients that it knew.
EXPECTED_MARGIN_S: Final = 10.0
# A percentile is told from so many values on: with fewer, less than one lies beyond it, and it
# is the largest value by another name.
MIN_COUNT_P99: Final = 100
MIN_COUNT_P999: Final = 1000

CLOCKS: Final = ("realtime", "monotonic")
